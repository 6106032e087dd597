"""Cluster files and secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.params.clusters import load_cluster, read_secrets
from tests.cluster.grids import Grid

PARAMS = REPOSITORY / "params"


@pytest.mark.parametrize("name", ["local", "slurm", "condor"])
def test_the_shipped_files_are_valid(name: str) -> None:
    assert load_cluster(PARAMS, name).scheduler == name


def test_an_unknown_cluster_is_one_line() -> None:
    with pytest.raises(ParameterError, match="did you mean 'slurm'") as caught:
        load_cluster(PARAMS, "slurn")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"partitions": "gpu"}, "did you mean 'partition'"),
        ({"partition": "gpu\n#SBATCH --uid=0"}, "partition"),
        ({"setup": ["module load a\nrm -rf b"]}, "setup"),
        ({"time_limit_s": "2h"}, "time_limit_s"),
    ],
)
def test_a_bad_value_names_file_and_key(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    grid = Grid(tmp_path, cluster=change)
    with pytest.raises(ParameterError, match=said) as caught:
        load_cluster(grid.study.params, "test")
    assert "test.yaml" in str(caught.value)


def test_secrets_are_read_from_a_file_of_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text("# of the judge\n\nJUDGE_KEY=s3cret=x\n")
    file.chmod(0o600)
    assert read_secrets(tmp_path, str(file)) == {"JUDGE_KEY": "s3cret=x"}
    file.chmod(0o640)
    with pytest.raises(ParameterError, match="chmod 600") as caught:
        read_secrets(tmp_path, str(file))
    assert "s3cret" not in str(caught.value)


def test_a_secrets_line_of_another_form_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text("export KEY=s3cret\n")
    file.chmod(0o600)
    with pytest.raises(ParameterError, match=r"secrets:1.*write KEY=value") as caught:
        read_secrets(tmp_path, str(file))
    assert "s3cret" not in str(caught.value)


def test_a_missing_secrets_file_stops_a_submission(tmp_path: Path) -> None:
    grid = Grid(tmp_path, cluster={"secrets_file": str(tmp_path / "none")})
    done = grid("submit")
    assert done.returncode == 2
    assert "secrets_file" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()
