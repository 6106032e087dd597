"""Request sets by the published rule, repaired at its boundary (reference 3.2)."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from pydantic import Field

from ibench.errors import WorkloadError
from ibench.records import Closed, RequestSpec
from ibench.workloads.documents import Document
from ibench.workloads.reservoir import reservoir
from ibench.workloads.sets import request_hash
from ibench.workloads.tokens import Message, TextTokenizer

__all__ = ["Split", "WorkloadSpec", "pool_of", "sample_requests"]

Split: TypeAlias = Literal["dev", "eval", "warmup"]
# Cuts tried around the budget when decoding and encoding again miss the bound.
_REPAIR_REACH = 64
# The published pool of documents, as many as LongBench v2 has.
_UPSTREAM_POOL = 503


class WorkloadSpec(Closed):
    """One scenario's request set; lengths in tokens of the base model."""

    seed: int
    input_tokens: int = Field(ge=1, description="upper bound of the prompt")
    output_tokens: int = Field(ge=1, description="upper bound of max_tokens")
    range_ratio: float = Field(default=0.8, gt=0, le=1, description="lower / upper")
    requests: int = Field(ge=1)
    temperature: float = Field(ge=0)
    ignore_eos: bool = True
    max_model_len: int = Field(ge=1)
    margin: int = Field(default=16, ge=0, description="kept free of max_model_len")
    compat: Literal["ibench", "upstream"] = Field(
        default="ibench",
        description="ibench: dev, eval and warm-up draw from disjoint documents, cuts "
        "are repaired; upstream: all draw from one pool and a cut that misses aborts",
    )

    @property
    def target_input(self) -> int:
        """Largest prompt that leaves room for the answer: rule step 1."""
        room = self.max_model_len - self.output_tokens - 1 - self.margin
        return min(self.input_tokens, room)

    @property
    def min_input(self) -> int:
        """Smallest prompt: ``ceil(target_input x range_ratio)``."""
        return math.ceil(self.target_input * self.range_ratio)

    @property
    def min_output(self) -> int:
        """Smallest answer: ``ceil(output_tokens x range_ratio)``."""
        return math.ceil(self.output_tokens * self.range_ratio)


class _Source(NamedTuple):
    document: Document
    tokens: int  # of the whole message, through the chat template


def sample_requests(
    spec: WorkloadSpec,
    documents: Sequence[Document],
    tokenizer: TextTokenizer,
    split: Split,
    counts: MutableMapping[str, int] | None = None,
) -> tuple[RequestSpec, ...]:
    """Draw a request set: same arguments, same bytes.

    Three independent generators under their published names draw document (with
    replacement), input target and output length; a fourth draws where in the document
    the prompt begins. The published rule begins at its head, so that two requests of
    one document share a prefix that a cache may know; here no two begin at the same
    place while a document has others. The recount through the chat template lies in
    [``min_input``, target]: where decoding and encoding again miss that range, cuts a
    few tokens shorter or longer are tried. With ``compat: upstream`` prompts begin at
    the head, and a miss is an error as it is there: there is no published set that a
    repaired one could be equal to.

    Args:
        spec: lengths, seed and rule.
        documents: the source texts, in their published order.
        tokenizer: of the base model.
        split: which of the disjoint pools; names requests only, under ``upstream``.
        counts: tokens of whole documents by id, kept between calls with the same
            documents and tokenizer: counting 465 MB takes minutes.

    Raises:
        WorkloadError: too few long documents, no room for a prompt in
            ``max_model_len``, or no cut of a document lands in the range.
    """
    if spec.target_input < 1:
        raise WorkloadError(
            f"max_model_len {spec.max_model_len} leaves no room for a prompt before "
            f"{spec.output_tokens} output tokens"
        )
    pool = _pool(spec, documents, split)
    sources = _long_enough(spec, pool, tokenizer, {} if counts is None else counts)
    scaffold = tokenizer.count_messages([_user("")])
    cache: dict[str, list[int]] = {}
    requests = []
    starts = None if spec.compat == "upstream" else _Starts(spec, split)
    reach = 0 if starts is None else _REPAIR_REACH
    for index, (target, source, output) in enumerate(_draws(spec, sources, split)):
        document = source.document
        if document.document_id not in cache:
            cache[document.document_id] = tokenizer.encode(document.text)
        tokens = cache[document.document_id]
        if starts is not None:
            room = len(tokens) - (target - scaffold)
            tokens = tokens[starts.draw(document.document_id, room) :]
        text, realised = _cut(
            tokens, tokenizer, range(spec.min_input, target + 1), scaffold, reach
        )
        requests.append(
            _request(
                spec,
                f"{split}-{spec.seed}-{index:04d}",
                source,
                text=text,
                output=output,
                target=target,
                realised=realised,
            )
        )
    return tuple(requests)


def pool_of(document_id: str) -> Split:
    """Pool of a document by the hash of its id: 45 % dev, 45 % eval, 10 % warm-up."""
    share = int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:8]) % 100
    if share < 45:
        return "dev"
    return "eval" if share < 90 else "warmup"


def _pool(
    spec: WorkloadSpec, documents: Sequence[Document], split: Split
) -> list[Document]:
    if spec.compat == "upstream":
        return reservoir(documents, _UPSTREAM_POOL, spec.seed)
    return [d for d in documents if pool_of(d.document_id) == split]


def _long_enough(
    spec: WorkloadSpec,
    pool: Sequence[Document],
    tokenizer: TextTokenizer,
    counts: MutableMapping[str, int],
) -> list[_Source]:
    for document in pool:
        if document.document_id not in counts:
            message = _user(document.text)
            counts[document.document_id] = tokenizer.count_messages([message])
    counted = [_Source(d, counts[d.document_id]) for d in pool]
    sources = [source for source in counted if source.tokens >= spec.min_input]
    if not sources:
        longest = max((source.tokens for source in counted), default=0)
        raise WorkloadError(
            f"0 of {len(pool)} documents of the pool have the {spec.min_input} tokens "
            f"a prompt needs (longest {longest}); shorten input_tokens"
        )
    return sources


def _draws(
    spec: WorkloadSpec, sources: Sequence[_Source], split: Split
) -> Iterator[tuple[int, _Source, int]]:
    name = f"{spec.target_input}:{spec.output_tokens}:{spec.range_ratio}"
    # The published rule has no warm-up: out of one pool its own seed keeps it from
    # being the first requests that are measured.
    shared = spec.compat == "upstream" and split == "warmup"
    seed = f"warmup:{spec.seed}" if shared else f"{spec.seed}"
    documents = random.Random(f"{seed}:longbench:{name}")  # noqa: S311
    inputs = random.Random(f"{seed}:input:{name}")  # noqa: S311
    outputs = random.Random(f"{seed}:output:{name}")  # noqa: S311
    for _ in range(spec.requests):
        target = inputs.randint(spec.min_input, spec.target_input)
        candidates = [source for source in sources if source.tokens >= target]
        if not candidates:
            raise WorkloadError(
                f"0 of {len(sources)} long documents have the {target} tokens drawn; "
                "add documents or shorten input_tokens"
            )
        source = candidates[documents.randrange(len(candidates))]
        yield target, source, outputs.randint(spec.min_output, spec.output_tokens)


class _Starts:
    """Where prompts begin, in tokens of their document; none twice while others are."""

    def __init__(self, spec: WorkloadSpec, split: Split) -> None:
        # Texts that are nearly alike must not begin at the same place in two splits.
        self._draw = random.Random(  # noqa: S311
            f"{spec.seed}:{split}:start:{spec.target_input}:{spec.output_tokens}"
        )
        self._used: dict[str, set[int]] = {}

    def draw(self, document_id: str, room: int) -> int:
        """Draw a place.

        Args:
            document_id: of the document.
            room: tokens that it has more than the prompt needs.
        """
        used = self._used.setdefault(document_id, set())
        places = range(max(room, 0) + 1)
        free = [p for p in places if p not in used] if used else places
        place = self._draw.choice(free or places)
        used.add(place)
        return place


def _cut(
    tokens: Sequence[int],
    tokenizer: TextTokenizer,
    allowed: range,
    scaffold: int,
    reach: int,
) -> tuple[str, int]:
    budget = allowed[-1] - scaffold
    for size in _sizes_near(budget, len(tokens), reach):
        text = tokenizer.decode(tokens[:size])
        realised = tokenizer.count_messages([_user(text)])
        if realised in allowed:
            return text, realised
    raise WorkloadError(
        f"no cut within {reach} tokens of {budget} re-tokenizes to "
        f"{allowed[0]}..{allowed[-1]} tokens (compat: ibench repairs such cuts)"
    )


def _sizes_near(budget: int, available: int, reach: int) -> Iterator[int]:
    """Yield the published cut first, then -1, +1, -2, +2, ... tokens."""
    yield budget
    for distance in range(1, reach + 1):
        for size in (budget - distance, budget + distance):
            if 0 <= size <= available:
                yield size


def _request(
    spec: WorkloadSpec,
    request_id: str,
    source: _Source,
    *,
    text: str,
    output: int,
    target: int,
    realised: int,
) -> RequestSpec:
    messages = (_user(text),)
    return RequestSpec(
        request_id=request_id,
        messages=messages,
        max_tokens=output,
        temperature=spec.temperature,
        ignore_eos=spec.ignore_eos,
        document_id=source.document.document_id,
        target_input_tokens=target,
        input_tokens=realised,
        source_tokens=source.tokens,
        content_hash=request_hash(
            messages,
            max_tokens=output,
            temperature=spec.temperature,
            ignore_eos=spec.ignore_eos,
        ),
    )


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
