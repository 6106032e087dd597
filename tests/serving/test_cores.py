from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from ibench.serving.cores import Cores, divided, move, on_cores, strays
from ibench.serving.host_watch import Watch, probe
from ibench.serving.linux import connections_to

AVAILABLE = sorted(os.sched_getaffinity(0))
two_cores = pytest.mark.skipif(len(AVAILABLE) < 2, reason="needs two cores")
SPIN = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


def test_the_client_has_its_own_and_servers_all_others() -> None:
    assert divided(1, [3, 0, 2]) == Cores((0,), (2, 3))
    assert divided(2, range(8)) == Cores((0, 1), (2, 3, 4, 5, 6, 7))
    assert divided(1, [0]) is None
    assert divided(4, range(4)) is None


@two_cores
def test_only_the_calling_thread_is_bound_and_only_meanwhile() -> None:
    seen: list[set[int]] = []
    with on_cores((AVAILABLE[0],)):
        other = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        assert os.sched_getaffinity(0) == {AVAILABLE[0]}
        other.start()
        other.join()
    assert os.sched_getaffinity(0) == set(AVAILABLE)
    assert seen == [{AVAILABLE[0]}]  # what it starts meanwhile is bound too
    with on_cores(None):
        assert os.sched_getaffinity(0) == set(AVAILABLE)


@two_cores
def test_a_process_is_moved_and_its_strays_are_seen() -> None:
    last = (AVAILABLE[-1],)
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        try:
            assert strays([process.pid], last) == (process.pid,)
            move([process.pid], last)
            assert strays([process.pid], last) == ()
            assert os.sched_getaffinity(process.pid) == set(last)
        finally:
            process.kill()
    assert strays([process.pid], last) == ()  # gone: no fault, no stray


def test_a_probe_takes_about_a_second_and_says_positive_times() -> None:
    begun = time.monotonic()
    found = probe()
    assert time.monotonic() - begun < 10
    assert min(found.integer_s, found.copy_s, found.matmul_s) > 0
    assert found.gpu_throttle == ()


def test_somebody_elses_work_is_told_from_ours() -> None:
    """The same spinning process, once known as ours and once not."""
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        try:
            theirs, ours = Watch(None), Watch(None, lambda: [process.pid])
            time.sleep(1.0)
            own, foreign = ours.end(), theirs.end()
        finally:
            process.kill()
    assert foreign.seconds > 1.0
    assert foreign.others_cores - own.others_cores > 0.3
    assert 0 <= foreign.steal_share <= 1
    assert own.drift >= 0


def test_connections_are_counted_until_they_are_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connections_to(port) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert connections_to(port) == 1  # nobody has accepted it yet
            accepted, _ = server.accept()
            assert connections_to(port) == 1
        assert connections_to(port) == 1  # closed on the other side only
        accepted.close()
        assert connections_to(port) == 0
