"""Arrays of a grid that is larger than one: together no more at once than allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.cluster.slurm import Slurm
from ibench.cluster.submissions import Batch
from ibench.params.clusters import load_cluster
from tests.cluster.grids import Grid


@pytest.mark.parametrize(
    ("array_size", "most", "expected"),
    [
        (1, 2, [(1, None), (1, None), (1, "1"), (1, "2")]),
        (1, 1, [(1, None), (1, "1"), (1, "2"), (1, "3")]),
        (2, 7, [(3, None), (3, None)]),
        (9, 3, [(3, None)]),
    ],
)
def test_arrays_share_what_may_run_at_once(
    tmp_path: Path, array_size: int, most: int, expected: list[tuple[int, str | None]]
) -> None:
    sizes = {"scheduler": "slurm", "array_size": array_size, "max_parallel": most}
    grid = Grid(tmp_path, scenarios=("a", "b"), cluster=sizes)
    batch = Batch(
        grid.study,
        load_cluster(grid.study.params, "test"),
        "test",
        tmp_path / "submission",
        tuple(grid.cells),
        REPOSITORY,
        REPOSITORY / "notebooks",
    )
    given: list[str] = []

    def sbatch(argv: Sequence[str]) -> str:
        given.append(Path(argv[-1]).read_text())
        return f"{len(given)}\n"

    jobs, last = Slurm(sbatch).submit(batch)
    assert len(grid.cells) == 4
    arrays = [
        (
            int(re.findall(r"--array=1-\d+%(\d+)", text)[0]),
            next(iter(re.findall(r"--dependency=afterany:(\d+)$", text, re.M)), None),
        )
        for text in given[:-1]
    ]
    assert arrays == expected
    assert f"--dependency=afterany:{':'.join(jobs)}\n" in given[-1]
    assert last == str(len(given))
