"""What measures has the machine to itself, whoever of the workers is quicker."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from tests.scheduling import MeasuresLast

TESTS = [
    "t/long.py::one",
    "t/long.py::two",
    "t/apart.py::one@spread",
    "t/apart.py::two[x@y]@spread",
    "t/apart.py::three@spread",
    "t/short.py::one[a@b]",
    "t/short.py::two",
    "t/clock.py::one@measures",
    "t/long.py::three@measures",
]


class Worker:
    """Runs what it was given, but its last test only when it knows what comes then."""

    def __init__(self) -> None:
        self.todo: deque[int] = deque()
        self.shutting_down = False
        self.gateway = SimpleNamespace(id="gw")

    def send_runtest_some(self, indices: list[int]) -> None:
        self.todo.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def is_running(self) -> bool:
        return len(self.todo) > (not self.shutting_down)


def ran(tests: list[str], workers: int, slow: int) -> list[tuple[int, str, bool]]:
    """Who ran what, and whether others were at work; worker 0 is ``slow`` times so."""
    option = SimpleNamespace(loadscopereorder=False)
    config: Any = SimpleNamespace(getvalue=lambda _: ["popen"] * workers, option=option)
    scheduler = MeasuresLast(config)
    nodes = [Worker() for _ in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    done: list[tuple[int, str, bool]] = []
    for turn in range(200):
        for number, node in enumerate(nodes):
            if node.is_running and (number or turn % slow == 0):
                others = any(n.is_running for n in nodes if n is not node)
                index = node.todo.popleft()
                done.append((number, tests[index], others))
                scheduler.mark_test_complete(node, index)
                if scheduler.tests_finished:
                    for each in nodes:
                        each.shutdown()
    assert not scheduler.has_pending
    return done


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("slow", [1, 7])
def test_every_test_runs_once_and_what_measures_alone(workers: int, slow: int) -> None:
    done = ran(TESTS, workers, slow)
    assert sorted(name for _, name, _ in done) == sorted(TESTS)
    measured = [(number, others) for number, name, others in done if "@m" in name]
    assert [others for _, others in measured] == [False, False]
    assert len({number for number, _ in measured}) == 1


def test_a_file_stays_with_one_worker_and_spread_tests_do_not() -> None:
    done = ran(TESTS, 2, slow=1)
    who = {name: number for number, name, _ in done}
    assert who["t/long.py::one"] == who["t/long.py::two"]
    assert who["t/short.py::one[a@b]"] == who["t/short.py::two"]
    assert len({number for name, number in who.items() if "@spread" in name}) == 2


@pytest.mark.parametrize("tests", [TESTS[-2:], TESTS[:1] + TESTS[-1:], TESTS[:1]])
def test_few_tests_leave_no_worker_waiting(tests: list[str]) -> None:
    done = ran(tests, 2, slow=1)
    assert sorted(name for _, name, _ in done) == sorted(tests)


def test_a_test_that_is_not_marked_slow_starts_no_kernel() -> None:
    with pytest.raises(AssertionError, match="mark it slow"):
        subprocess.run([sys.executable, "-m", "ipykernel", "--version"], check=False)
    with pytest.raises(AssertionError, match="mark it slow"):
        subprocess.run([sys.executable, "-m", "ibench", "stage", "x"], check=False)
