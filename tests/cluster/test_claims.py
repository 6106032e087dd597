"""One holder at a time, whoever dies when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibench.cluster import claims
from ibench.cluster.claims import (
    CellClaim,
    HeldError,
    Owner,
    attempts,
    is_alive,
    latest,
)
from ibench.errors import StageError

UTC = "2026-01-01T00:00:00+00:00"
ELSEWHERE = Owner(user="ann", host="n7", kernel="other", pid=1, started="1", job="17_3")


def holder(folder: Path, *, says: str) -> subprocess.Popen[str]:
    """Claim in a process of its own and hold it."""
    text = f"""
        import time
        from pathlib import Path
        from ibench.cluster.claims import CellClaim, HeldError, Owner
        try:
            owner = Owner.this("1")
            with CellClaim(Path({str(folder)!r}), "k", owner, {UTC!r}, 0.1) as c:
                print("held", flush=True)
                {says}
                c.end("done")
        except HeldError as error:
            print(error, flush=True)
    """
    argv = [sys.executable, "-c", textwrap.dedent(text)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    child = holder(tmp_path, says="time.sleep(60)")
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()


def test_a_living_holder_is_named(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    with pytest.raises(HeldError, match=rf"run by .* on .*, job 1, since {UTC[:4]}"):
        CellClaim(tmp_path, "k", Owner.this(), UTC)
    assert [a.ended for a in attempts(tmp_path)] == [None]


def test_a_killed_holder_is_an_attempt_that_died(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    held.send_signal(signal.SIGKILL)
    held.wait()
    with CellClaim(tmp_path, "k", Owner.this(), UTC) as claim:
        assert claim.attempt.number == 2
        claim.end("done")
    assert [a.ended for a in attempts(tmp_path)] == ["died", "done"]


def test_of_many_that_start_at_once_one_wins(tmp_path: Path) -> None:
    children = [holder(tmp_path, says="time.sleep(3)") for _ in range(6)]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert said.count("held\n") == 1
    assert [a.ended for a in attempts(tmp_path)] == ["done"]


def test_another_hosts_heartbeat_has_the_last_word(tmp_path: Path) -> None:
    with CellClaim(tmp_path, "k", ELSEWHERE, UTC) as claim:
        with pytest.raises(HeldError, match="run by ann on n7, job 17_3"):
            CellClaim(tmp_path, "k", Owner.this(), UTC)
        old = time.time() - claims.STALE_S - 1  # noqa: TID251 (a file's time)
        os.utime(claim.path, (old, old))
        assert not is_alive(tmp_path, claim.attempt)
        with CellClaim(tmp_path, "k", Owner.this(), UTC) as second:
            assert second.attempt.number == 2
            second.end("done")
        claim.end("done")


def test_who_was_replaced_touches_nothing_more(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    """A paused machine that comes back must not write into the other's run."""
    first = latest(tmp_path)
    assert first is not None
    second = first.model_copy(update={"number": 2})
    (tmp_path / "2.json").write_text(second.model_dump_json())
    assert held.wait(20) == -signal.SIGKILL
    assert attempts(tmp_path)[0].ended == "died"


def test_an_error_inside_is_an_end(tmp_path: Path) -> None:
    with pytest.raises(StageError), CellClaim(tmp_path, "k", Owner.this(), UTC):
        raise StageError("broken\nglass")
    (only,) = attempts(tmp_path)
    assert (only.ended, only.detail) == ("failed", "StageError: broken glass")


def test_a_claim_edited_by_hand_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{")
    with CellClaim(tmp_path, "k", Owner.this(), UTC) as claim:
        assert claim.attempt.number == 2
        claim.end("done")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["1.json", "2.json"]
