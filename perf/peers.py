"""Other people's load clients, each from its own environment under ``.cache/peers``.

``make peers`` installs them. Both get the prompts and lengths that ours get, and both
report which answer belongs to which request: aiperf by the number of the body it
sent, guidellm by the answer's id. So every request is matched with the truth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ibench import REPOSITORY
from ibench.load.calibrate import plan
from ibench.workloads import ensure_model
from perf.client_truth import Job, Report, Seen

__all__ = ["Aiperf", "Guidellm", "aiperf_seen", "guidellm_seen", "packages", "summary"]

PEERS = REPOSITORY / ".cache" / "peers"
_NS = 1_000_000_000
_NS_OF_MS = 1_000_000
_PROMPT_BYTES = 1024


class Aiperf:
    """aiperf: our own request bodies, one after the other."""

    name = "aiperf"

    def command(self, job: Job) -> list[str]:
        """See ``Client.command``."""
        bodies = job.folder / "bodies.jsonl"
        todo = plan([0] * job.requests, job.tokens, _PROMPT_BYTES)
        bodies.write_bytes(b"".join(item.body + b"\n" for item in todo))
        options = {
            "model": "truth",
            "url": job.url,
            "endpoint-type": "chat",
            "tokenizer": _tokenizer(),
            "input-file": bodies,
            "custom-dataset-type": "raw-payload",
            "dataset-sampling-strategy": "sequential",
            "random-seed": 1,  # with it, sessions are numbered as the bodies are
            "concurrency": job.streams,
            "request-count": job.requests,
            "workers-max": 1,
            "record-processors": 1,
            "ui": "none",
            "export-level": "records",
            "artifact-dir": job.folder / "aiperf",
        }
        flags = ["streaming", "use-server-token-count"]
        flags += ["no-gpu-telemetry", "no-server-metrics"]
        return [
            str(_program(self.name)),
            "profile",
            *(f"--{flag}" for flag in flags),
            *(part for k, v in options.items() for part in (f"--{k}", str(v))),
        ]

    def report(self, job: Job) -> Report:
        """See ``Client.report``."""
        path = job.folder / "aiperf" / "profile_export.jsonl"
        return Report(aiperf_seen(path.read_text(encoding="utf-8").splitlines()))


class Guidellm:
    """guidellm: the same prompts; it writes the bodies itself."""

    name = "guidellm"

    def command(self, job: Job) -> list[str]:
        """See ``Client.command``."""
        prompts = job.folder / "prompts.jsonl"
        row = {"prompt": "x" * _PROMPT_BYTES, "output_tokens_count": job.tokens}
        prompts.write_text(f"{json.dumps(row)}\n" * job.requests, encoding="utf-8")
        backend = {
            "kind": "openai_http",
            "target": job.url,
            "model": "truth",
            "request_format": "/v1/chat/completions",
            "validate_backend": "false",
        }
        options = {
            "backend": _fields(backend),
            "tokenizer": f"kind=huggingface_auto,model={_tokenizer()}",
            "data": f"kind=json_file,path={prompts}",
            "profile": f"kind=concurrent,streams={job.streams}",
            "constraint": f"kind=max_requests,count={job.requests}",
            "output": f"kind=json,path={job.folder / 'guidellm.json'}",
        }
        return [
            "env",
            "HF_HUB_OFFLINE=1",
            "GUIDELLM__MAX_WORKER_PROCESSES=1",
            str(_program(self.name)),
            "run",
            "--disable-console-interactive",
            *(part for k, v in options.items() for part in (f"--{k}", v)),
        ]

    def report(self, job: Job) -> Report:
        """See ``Client.report``."""
        text = (job.folder / "guidellm.json").read_text(encoding="utf-8")
        return Report(guidellm_seen(json.loads(text)))


def aiperf_seen(lines: Iterable[str]) -> list[Seen]:
    """Read aiperf's records: one JSON object a request, times in milliseconds."""
    seen = []
    for line in lines:
        record = json.loads(line)
        meta, metrics = record["metadata"], record["metrics"]
        if "time_to_first_token" not in metrics:
            continue  # it failed
        gaps = metrics.get("inter_chunk_latency", {}).get("value", [])
        number = int(meta["conversation_id"].rpartition("_")[2])
        seen.append(
            Seen(
                name=f"n{number}",
                ttft_ns=metrics["time_to_first_token"]["value"] * _NS_OF_MS,
                chunks=len(gaps) + 1,
                gaps_ns=tuple(gap * _NS_OF_MS for gap in gaps),
                start_wall_ns=meta["request_start_ns"],
            )
        )
    return seen


def guidellm_seen(report: Mapping[str, Any]) -> list[Seen]:
    """Read guidellm's report: of a stream it keeps the first and the last instant.

    Its times are seconds of the wall clock in floating point, good to 0.2 us.
    """
    seen = []
    for request in report["benchmarks"][0]["requests"]["successful"]:
        times = request["info"]["timings"]
        begun, first = times["request_start"], times["first_token_iteration"]
        seen.append(
            Seen(
                name=request["response_id"].removeprefix("null-"),
                ttft_ns=(first - begun) * _NS,
                chunks=times["token_iterations"],
                gaps_ns=None,
            )
        )
    return seen


def packages() -> dict[str, list[str]]:
    """Installed peers, with every package of their environments."""
    files = {p.name: PEERS / p.name / "freeze.txt" for p in (Aiperf, Guidellm)}
    return {
        name: freeze.read_text(encoding="utf-8").splitlines()
        for name, freeze in files.items()
        if freeze.is_file()
    }


def summary(name: str, lines: Sequence[str]) -> str:
    """One line about a peer's environment."""
    version = next(line for line in lines if line.startswith(f"{name}=="))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    return f"{version}, {len(lines)} packages of digest {digest}"


def _program(name: str) -> Path:
    return PEERS / name / "bin" / name


@cache
def _tokenizer() -> str:
    """The embedded one: aiperf's built-in tokenizer wants a download."""
    return str(ensure_model(REPOSITORY / ".cache" / "models"))


def _fields(values: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in values.items())
