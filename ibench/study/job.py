"""What a stage notebook of InferenceBench holds beside what every stage holds."""

from __future__ import annotations

from ibench import REPOSITORY
from ibench.errors import unknown_name
from ibench.params import PaperScenario
from ibench.study.assets import Assets
from ibench.study.definition import Job, Study
from ibench.study.stage import OpenStage, stage_name

__all__ = ["OpenJob", "open_job"]


class OpenJob(OpenStage[Study]):
    """One stage of one cell of InferenceBench, opened by its notebook.

    Args:
        study: the loaded profile.
        job: the stage.
    """

    def __init__(self, study: Study, job: Job) -> None:
        """Open the stage folder and start its clock."""
        super().__init__(study, job)
        self.assets = Assets(study, REPOSITORY / ".cache")

    @property
    def scenario(self) -> PaperScenario:
        """The scenario, scaled to the profile."""
        return self.study.scenarios[self.cell.scenario]

    def drawn_seeds(self) -> dict[str, int]:
        """Seeds that the record names: those of the pair, and of the questions."""
        questions = {"questions": self.study.profile.questions.seed}
        return questions | super().drawn_seeds()


def open_job(
    stage: str,
    *,
    profile: str,
    params_dir: str,
    results_dir: str,
    scenario: str | None = None,
    method: str = "baseline",
    seeds: str | None = None,
) -> OpenJob:
    """Open a stage from its notebook's parameters.

    Relative folders are the repository's: JupyterLab starts kernels in the notebook's
    folder, the stage runner in the repository.

    Raises:
        ParameterError: a name that the profile does not know.
    """
    study = Study(profile, REPOSITORY / params_dir, REPOSITORY / results_dir)
    if scenario is not None and scenario not in study.scenarios:
        raise unknown_name(study.profile_path, "scenario", scenario, study.scenarios)
    if method != "baseline":
        study.method(method)
    return OpenJob(study, study.job(stage_name(stage, scenario, method, seeds)))
