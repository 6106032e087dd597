"""The client against a server that misbehaves; it records and never raises."""

from __future__ import annotations

import time

import pytest

from ibench.load.client import HttpxClient, PlannedRequest
from ibench.load.sse import interpret, parse
from ibench.records import FailureKind
from ibench.serving.processes import free_port
from tests.faulty_server import TEXT, faulty_server

BODY = b'{"stream": true}'


def _plan(*offsets_ns: int) -> list[PlannedRequest]:
    return [PlannedRequest(f"r{i}", BODY, at) for i, at in enumerate(offsets_ns)]


def test_bytes_and_times_of_a_good_answer() -> None:
    before = time.monotonic_ns()
    with faulty_server("good") as server:
        (got,) = HttpxClient().run(server.base_url, _plan(0), 1, 5.0)
        assert server.bodies == [{"stream": True}]
    assert (got.status, got.content_type) == (200, "text/event-stream")
    assert (got.failure, got.error) == (None, None)
    assert interpret(parse(got.reads)).text == TEXT
    assert got.sent_ns is not None
    times = [before, got.scheduled_ns, got.sent_ns, *(r.t_ns for r in got.reads)]
    times += [got.end_ns, time.monotonic_ns()]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("mode", "failure", "status"),
    [
        ("hang", FailureKind.TIMEOUT, 200),
        ("trickle", FailureKind.TIMEOUT, 200),
        ("broken_chunks", FailureKind.TRUNCATED, 200),
        ("closes", FailureKind.CONNECT, None),
        ("not_http", FailureKind.CONNECT, None),
        ("status_500", None, 500),
    ],
)
def test_faults_are_recorded(
    mode: str, failure: FailureKind | None, status: int | None
) -> None:
    start = time.monotonic()
    with faulty_server(mode) as server:
        (got,) = HttpxClient().run(server.base_url, _plan(0), 1, 0.6)
    assert (got.failure, got.status) == (failure, status)
    assert (got.error is None) == (failure is None)
    assert time.monotonic() - start < 2
    if failure == FailureKind.TIMEOUT:
        assert interpret(parse(got.reads)).text  # what came is kept


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    got = HttpxClient().run(url, _plan(0, 0), 2, 1.0)
    assert [g.failure for g in got] == [FailureKind.CONNECT] * 2


def test_endless_answers_are_cut() -> None:
    with faulty_server("flood") as server:
        (got,) = HttpxClient().run(server.base_url, _plan(0), 1, 30.0)
    assert got.failure == FailureKind.MALFORMED
    assert sum(len(read.data) for read in got.reads) < 70 * 2**20


def test_requests_start_when_due() -> None:
    offsets_ns = (0, 100_000_000, 250_000_000)
    with faulty_server("good") as server:
        got = HttpxClient().run(server.base_url, _plan(*offsets_ns), 3, 5.0)
    due = [g.scheduled_ns - got[0].scheduled_ns for g in got]
    assert tuple(due) == offsets_ns
    for item in got:
        assert item.sent_ns is not None
        assert 0 <= item.sent_ns - item.scheduled_ns < 80_000_000


def test_a_request_that_is_due_waits_for_a_slot() -> None:
    with faulty_server("trickle") as server:
        got = HttpxClient().run(server.base_url, _plan(0, 0, 0), 2, 0.4)
    waits_s = sorted((g.sent_ns or 0) - g.scheduled_ns for g in got)
    assert waits_s[1] < 100_000_000
    assert waits_s[2] > 390_000_000
    assert [g.request_id for g in got] == ["r0", "r1", "r2"]
