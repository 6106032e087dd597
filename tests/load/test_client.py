"""Both clients against a server that misbehaves; they record and never raise."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence

import pytest

from ibench.load.calibrate import null_server, plan
from ibench.load.choose import choose_client
from ibench.load.client import Exchange, Finished, LoadClient, PlannedRequest
from ibench.load.httpx_client import HttpxClient
from ibench.load.kernel_client import KernelClient
from ibench.load.sharding import ShardedClient
from ibench.load.sse import interpret, parse
from ibench.load.stamps import stamps_kept_on
from ibench.records import FailureKind
from ibench.serving.processes import free_port
from tests.faulty_server import TEXT, faulty_server

pytestmark = [pytest.mark.slow, pytest.mark.measures]

BODY = b'{"stream": true}'
CLIENTS = [KernelClient, HttpxClient]
both = pytest.mark.parametrize("make", CLIENTS)


def _plan(*offsets_ns: int) -> list[PlannedRequest]:
    return [PlannedRequest(f"r{i}", BODY, at) for i, at in enumerate(offsets_ns)]


def _send(
    client: LoadClient,
    url: str,
    offsets_ns: Sequence[int] = (0,),
    slots: int = 1,
    limit_s: float = 5.0,
) -> list[Exchange]:
    return client.run(url, _plan(*offsets_ns), slots, limit_s).exchanges


@both
@pytest.mark.parametrize("mode", ["good", "chunked", "bytes_in_chunks", "http_1_0"])
def test_bytes_and_times_of_a_good_answer(make: type[LoadClient], mode: str) -> None:
    before = time.monotonic_ns()
    with faulty_server(mode) as server:
        (got,) = _send(make(), server.base_url)
        assert server.bodies == [{"stream": True}]
    assert (got.failure, got.error) == (None, None)
    assert (got.status, got.content_type) == (200, "text/event-stream")
    assert interpret(parse(got.reads)).text == TEXT
    assert got.sent_ns is not None
    assert got.ready_ns is not None
    times = [before, got.scheduled_ns, got.ready_ns, got.sent_ns]
    times += [*(r.best_ns for r in got.reads), got.end_ns, time.monotonic_ns()]
    assert times == sorted(times)


@both
@pytest.mark.parametrize(
    ("mode", "failure", "status"),
    [
        ("hang", FailureKind.TIMEOUT, 200),
        ("trickle", FailureKind.TIMEOUT, 200),
        ("broken_chunks", FailureKind.TRUNCATED, 200),
        ("closes", FailureKind.CONNECT, None),
        ("not_http", FailureKind.MALFORMED, None),
        ("status_500", None, 500),
        ("headers", FailureKind.TIMEOUT, None),
        ("compressed", FailureKind.MALFORMED, 200),
    ],
)
def test_faults_are_recorded(
    make: type[LoadClient], mode: str, failure: FailureKind | None, status: int | None
) -> None:
    with faulty_server(mode) as server:
        (got,) = _send(make(), server.base_url, limit_s=0.6)
    assert (got.failure, got.status) == (failure, status), got.error
    assert (got.error is None) == (failure is None)
    # Of the request alone: its server takes longer to start and end on a busy machine.
    assert got.end_ns - got.scheduled_ns < 2_000_000_000
    if failure == FailureKind.TIMEOUT and status:
        assert interpret(parse(got.reads)).text  # what came is kept


@both
def test_nobody_listens(make: type[LoadClient]) -> None:
    got = _send(make(), f"http://127.0.0.1:{free_port()}", (0, 0), 2)
    assert [g.failure for g in got] == [FailureKind.CONNECT] * 2


@both
@pytest.mark.parametrize("mode", ["flood", "one_line"])
def test_endless_answers_are_cut(make: type[LoadClient], mode: str) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with faulty_server(mode) as server:
        (got,) = _send(make(), server.base_url, limit_s=30.0)
    assert got.failure == FailureKind.MALFORMED
    assert sum(len(read.data) for read in got.reads) < 70 * 2**20
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < 300 * 1024


@both
def test_a_flood_after_the_end_is_somebodys_recorded_failure_at_most(
    make: type[LoadClient],
) -> None:
    with faulty_server("flood_after") as server:
        got = _send(make(), server.base_url, (0, 0, 0))
    # A request may leave before the flood is seen; then the flood is its answer.
    assert got[0].failure is None
    flooded = {FailureKind.CONNECT, FailureKind.MALFORMED, FailureKind.TRUNCATED}
    assert {g.failure for g in got} <= {None, *flooded}
    whole = {interpret(parse(g.reads)).text for g in got if g.failure is None}
    assert whole == {TEXT}


@both
def test_who_waits_behind_others_is_not_late(make: type[LoadClient]) -> None:
    """Eight at once, answered one by one: the last waits four times its limit."""
    with faulty_server("in_turn") as server:
        found = _send(make(), server.base_url, (0,) * 8, slots=8, limit_s=0.6)
    assert [e.failure for e in found] == [None] * 8
    last = max(found, key=lambda e: e.end_ns)
    assert last.sent_ns is not None
    assert last.end_ns - last.sent_ns > 1.5e9


@both
def test_a_server_that_hangs_keeps_nobody_longer_than_the_limit(
    make: type[LoadClient],
) -> None:
    begun = time.monotonic()
    with faulty_server("hang") as server:
        found = _send(make(), server.base_url, (0,) * 4, slots=4, limit_s=0.5)
    assert [e.failure for e in found] == [FailureKind.TIMEOUT] * 4
    assert time.monotonic() - begun < 5


@both
def test_requests_start_when_due(make: type[LoadClient]) -> None:
    offsets_ns = (0, 100_000_000, 250_000_000)
    with faulty_server("good") as server:
        got = _send(make(), server.base_url, offsets_ns, 3)
    due = [g.scheduled_ns - got[0].scheduled_ns for g in got]
    assert tuple(due) == offsets_ns
    for item in got:
        assert item.sent_ns is not None
        assert item.ready_ns == item.scheduled_ns
        assert 0 <= item.sent_ns - item.scheduled_ns < 80_000_000


@both
def test_a_request_that_is_due_waits_for_a_slot(make: type[LoadClient]) -> None:
    with faulty_server("trickle") as server:
        got = _send(make(), server.base_url, (0, 0, 0), 2, 0.4)
    waits_s = sorted((g.sent_ns or 0) - g.scheduled_ns for g in got)
    assert waits_s[1] < 100_000_000
    assert waits_s[2] > 390_000_000
    # The wait is the server's doing: the client sends when the slot is free.
    assert all((g.sent_ns or 0) - (g.ready_ns or 0) < 50_000_000 for g in got)
    assert [g.request_id for g in got] == ["r0", "r1", "r2"]


@both
def test_a_run_ends_when_enough_was_seen(make: type[LoadClient]) -> None:
    seen: list[Finished] = []

    def enough(done: Finished) -> bool:
        seen.append(done)
        return len(seen) >= 3

    with faulty_server("chunked") as server:
        plan = _plan(*[0] * 50)
        run = make().run(server.base_url, plan, 1, 5.0, enough)
    # One more may be on its way when the third is found to be enough.
    sent = [e.request_id for e in run.exchanges]
    assert sent in (["r0", "r1", "r2"], ["r0", "r1", "r2", "r3"])
    assert all(d.sent_ns < d.first_ns <= d.end_ns for d in seen)


def test_only_the_kernel_client_has_kernel_stamps() -> None:
    with faulty_server("good") as server:
        kernel = KernelClient().run(server.base_url, _plan(0), 1, 5.0)
        user = HttpxClient().run(server.base_url, _plan(0), 1, 5.0)
    assert (kernel.cost.timestamp_source, user.cost.timestamp_source) == (
        "kernel",
        "user",
    )
    for read in kernel.exchanges[0].reads:
        assert read.recv_ns is not None
        assert read.recv_ns <= read.t_ns
    assert all(read.recv_ns is None for read in user.exchanges[0].reads)
    assert abs(kernel.cost.clock_drift_s or 0) < 1e-3


def test_the_kernel_stamps_before_a_run_begins() -> None:
    with stamps_kept_on() as seen:
        assert seen


def test_a_server_that_closes_each_connection_loses_no_stamp() -> None:
    """Between two of its answers no other socket of ours may want stamps."""
    offsets_ns = [i * 4_000_000 for i in range(30)]
    with faulty_server("good") as server:
        run = KernelClient().run(server.base_url, _plan(*offsets_ns), 1, 5.0)
    reads = [read for e in run.exchanges for read in e.reads]
    assert len(reads) >= 30
    assert [read for read in reads if read.recv_ns is None] == []


def test_several_processes_share_one_plan() -> None:
    offsets_ns = [i * 5_000_000 for i in range(20)]
    with faulty_server("good") as server:
        run = ShardedClient(2).run(server.base_url, _plan(*offsets_ns), 4, 5.0)
    assert [e.request_id for e in run.exchanges] == [f"r{i}" for i in range(20)]
    start = run.exchanges[0].scheduled_ns
    assert [e.scheduled_ns - start for e in run.exchanges] == offsets_ns
    assert [e.failure for e in run.exchanges] == [None] * 20
    assert (run.cost.processes, run.cost.timestamp_source) == (2, "kernel")


def test_more_streams_than_the_soft_limit_of_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with null_server(tokens_per_s=50) as server:
            todo = plan([0] * 600, 3)
            run = KernelClient().run(server.base_url, todo, 600, 30.0)
            assert len(server.end()) == 600
        assert {e.failure for e in run.exchanges} == {None}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_which_client_measures_what() -> None:
    assert isinstance(choose_client("http://127.0.0.1:1"), KernelClient)
    assert isinstance(choose_client("https://127.0.0.1:1"), HttpxClient)
    assert isinstance(choose_client("http://127.0.0.1:1", "httpx"), HttpxClient)
    assert isinstance(choose_client("http://127.0.0.1:1", processes=2), ShardedClient)
