"""Who is sent what, when: phases cut into blocks, blocks shared out to server lives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ibench.load.arrivals import arrival_offsets_ns, save_arrivals
from ibench.params import Measure, Phase, Scenario
from ibench.records import ClientCost, RequestResult, RequestSpec, sha256_of
from ibench.workloads.sets import Workload

__all__ = [
    "Block",
    "Part",
    "blocks_of",
    "joined_costs",
    "one_after_the_other",
    "parts_of",
]


class Block(NamedTuple):
    """One block of a phase: it is sent as a whole, and awaited before the next.

    Attributes:
        phase: what it belongs to.
        requests: in the order of the phase.
        offsets_ns: when they are due, after the block's first.
    """

    phase: Phase
    requests: Sequence[RequestSpec]
    offsets_ns: tuple[int, ...]


class Part(NamedTuple):
    """One phase with what it sends, block by block.

    Attributes:
        phase: arrivals and concurrency.
        offsets_ns: arrivals of the whole phase.
        arrivals_sha256: of their file.
        blocks: in order.
    """

    phase: Phase
    offsets_ns: tuple[int, ...]
    arrivals_sha256: str
    blocks: tuple[Block, ...]

    @property
    def requests(self) -> int:
        """Requests of all its blocks."""
        return len(self.offsets_ns)

    def shared(self, life: int, lives: int) -> Part:
        """The blocks that one of so many server lives is sent."""
        return self._replace(blocks=self.blocks[life::lives])


def blocks_of(requests: int, concurrency: int, most: int) -> int:
    """Number of blocks of a phase: each fills the concurrency at least once."""
    return max(1, min(most, requests // concurrency))


def parts_of(
    scenario: Scenario,
    workload: Workload,
    settings: Measure,
    *,
    folder: Path | None = None,
    limit: int | None = None,
) -> tuple[Part, ...]:
    """Plan every phase of a scenario.

    Args:
        scenario: phases.
        workload: the request set, of which each phase has its own part; its seed names
            the arrival vectors.
        settings: how many blocks, and whether phases share their requests.
        folder: where arrival vectors are saved, if anywhere.
        limit: requests a phase at most.
    """
    starts = scenario.starts(replay=settings.replay_phases)
    parts = []
    for start, phase in zip(starts, scenario.phases, strict=False):
        n = min(phase.requests, limit or phase.requests)
        offsets, sha256 = _arrivals(scenario, workload, phase, n, folder)
        requests = workload.requests[start : start + n]
        count = blocks_of(n, phase.concurrency, settings.blocks)
        parts.append(
            Part(phase, offsets, sha256, _cut(phase, requests, offsets, count))
        )
    return tuple(parts)


def _cut(
    phase: Phase,
    requests: Sequence[RequestSpec],
    offsets_ns: tuple[int, ...],
    count: int,
) -> tuple[Block, ...]:
    edges = [round(i * len(requests) / count) for i in range(count + 1)]
    return tuple(
        Block(
            phase,
            requests[low:high],
            tuple(due - offsets_ns[low] for due in offsets_ns[low:high]),
        )
        for low, high in itertools.pairwise(edges)
    )


def _arrivals(
    scenario: Scenario, workload: Workload, phase: Phase, n: int, folder: Path | None
) -> tuple[tuple[int, ...], str]:
    """Compute a phase's arrival vector and its hash; save it if there is a folder."""
    offsets = arrival_offsets_ns(
        phase.arrivals,
        n,
        phase.rate_per_s,
        f"{workload.seed}:arrivals:{scenario.id}:{phase.name}",
        shape=phase.shape,
    )
    if folder is None:
        return offsets, sha256_of(list(offsets))
    return offsets, save_arrivals(folder / f"arrivals-{phase.name}.json", offsets)


def one_after_the_other(
    blocks: Sequence[Sequence[RequestResult]],
) -> tuple[RequestResult, ...]:
    """Results of blocks on a clock that stands still between them.

    Between two blocks the other server has its turn. Rates and wall times of a phase
    are those of the time in which this server was loaded: each block begins where the
    one before it ended. Times within a block are untouched.
    """
    moved: list[RequestResult] = []
    end_ns: int | None = None
    for block in blocks:
        if not block:
            continue
        start_ns = min(_start_ns(r) for r in block)
        shift_ns = 0 if end_ns is None else end_ns - start_ns
        moved += [_shifted(r, shift_ns) for r in block]
        end_ns = max(r.end_ns for r in block) + shift_ns
    return tuple(moved)


def _start_ns(r: RequestResult) -> int:
    return r.scheduled_ns if r.sent_ns is None else r.sent_ns


_STAMPS = (
    "scheduled_ns", "ready_ns", "sent_ns", "first_byte_ns", "first_token_ns",
    "first_visible_ns", "last_token_ns", "end_ns",
)  # fmt: skip


def _shifted(r: RequestResult, by_ns: int) -> RequestResult:
    if not by_ns:
        return r
    stamps = {name: getattr(r, name) for name in _STAMPS}
    chunks = tuple(
        c.model_copy(
            update={
                "t_read_ns": c.t_read_ns + by_ns,
                "t_recv_ns": None if c.t_recv_ns is None else c.t_recv_ns + by_ns,
            }
        )
        for c in r.chunks
    )
    moved = {k: None if v is None else v + by_ns for k, v in stamps.items()}
    return r.model_copy(update=moved | {"chunks": chunks})


def joined_costs(costs: Sequence[ClientCost]) -> ClientCost:
    """What several runs of the same client cost together."""
    drifts = [c.clock_drift_s for c in costs if c.clock_drift_s is not None]
    is_user = any(c.timestamp_source == "user" for c in costs)
    return ClientCost(
        timestamp_source="user" if is_user else "kernel",
        processes=max(c.processes for c in costs),
        cpu_s=sum(c.cpu_s for c in costs),
        clock_drift_s=max(drifts, key=abs, default=None),
        resent=sum(c.resent for c in costs),
    )
