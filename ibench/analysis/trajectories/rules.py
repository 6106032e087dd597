"""Rules on single events; examples that must hold stand in their tests.

A rule is a pure function of one event. What needs the order of events (relaunches,
what shipped, failure modes) is in ``facts``, the families of events in ``episodes``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ibench.analysis.trajectories.events import Event
from ibench.analysis.trajectories.heredocs import heredocs
from ibench.analysis.trajectories.launches import Config, launches_in
from ibench.analysis.trajectories.measurements import numbers_in
from ibench.analysis.trajectories.shell import ShellCommand, commands_in
from ibench.analysis.trajectories.techniques import mentioned
from ibench.analysis.trajectories.tools import tool_group

__all__ = [
    "LAUNCHER", "commands_of", "error_in", "is_benchmark", "is_blocked",
    "is_evaluation", "is_install", "is_launch", "is_monitor", "is_pure_read",
    "is_quick", "is_stop", "launched_configs", "launcher_written", "measurements_of",
    "runs_launcher", "techniques_of", "writes_evaluator", "writes_launcher",
]  # fmt: skip

LAUNCHER = "start_server.sh"
_LAUNCHERS = frozenset({LAUNCHER, "test_server.sh", "run_server.sh"})
_EVALUATORS = frozenset({"evaluate.py", "test_server.sh"})
_HARNESS = ("evaluate.py", "test_server.sh", "scenario.json", "timer.sh")
_BENCHMARK = re.compile(
    r"(?:vllm bench|sglang\.bench|guidellm|genai-perf|aiperf|locust|wrk|oha|hey)\b"
    r"|\S*bench\w*\.(?:py|sh)\b|\S*(?:load_?test|perf_?test)\w*\.py\b"
)
# One of these is in everything that _BENCHMARK finds.
_BENCHMARK_HINTS = ("bench", "guidellm", "perf", "locust", "wrk", "oha", "hey", "load")
_INSTALL = re.compile(
    r"(?:uv )?pip[\d.]* (?:-\S+ )*(?:install|download)\b|python\S* -m pip install\b"
    r"|(?:conda|mamba|apt|apt-get|npm) (?:-\S+ )*install\b|uv (?:add|sync|venv)\b"
    r"|git clone\b|(?:hf|huggingface-cli) download\b|wget\b|python\S* setup\.py\b"
    r"|docker pull\b"
)
_MONITOR = re.compile(
    r"sleep\b|tail\b|watch\b|nvidia-smi\b|ps\b|pgrep\b|top\b|htop\b|free\b|jobs\b|wait\b"
    r"|timer\.sh\b|(?:ss|netstat|lsof)\b|curl .*(?:/health|/v1/models|/metrics|/ping)\b"
)
_STOP = re.compile(r"(?:kill|pkill|killall|fuser -k)\b")
_READ = re.compile(
    r"(?:cat|head|tail|less|more|sed -n|grep|egrep|rg|awk|jq|nl|strings|bat|find|ls|wc"
    r"|diff|stat|file|echo|printf|cd|pwd|which|env|printenv|date|true|test|sort|uniq|cut"
    r"|pip[\d.]* (?:show|list|freeze|index)|git (?:log|status|diff|show)|nproc|lscpu|df"
    r"|du|uname|id|whoami|tree|hostname|lspci|export|set|source|mkdir|\[)(?:\s|$)"
)
_RESULT_FILE = re.compile(
    r"metrics\w*\.json|evaluations\.jsonl|\.(?:log|out)\b|result|bench\w*\.json"
)
_ERROR = re.compile(
    r"Traceback \(most recent call last\)|CUDA out of memory|OutOfMemoryError"
    r"|(?:Runtime|Value|Import|ModuleNotFound|Type|Key|Attribute|OS)Error:"
    r"|unrecognized arguments|Address already in use|Engine core init\w* failed"
    r"|command not found|No such file or directory|Connection refused"
    r"|Segmentation fault|no measurement:|Permission denied|No space left on device"
)
# One of these is in everything that _ERROR finds; a plain look is ten times faster.
_ERROR_HINTS = (
    "Traceback",
    "emory",
    "Error:",
    "unrecognized",
    "already in use",
    "init",
    "not found",
    "No such",
    "refused",
    "Segmentation",
    "no measurement",
    "denied",
    "No space",
)


class _Shell(NamedTuple):
    """A shell text as rules read it: programs, lines, scripts run, files written."""

    commands: tuple[ShellCommand, ...] = ()
    lines: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    targets: tuple[tuple[str, str], ...] = ()


_NO_SHELL = _Shell()


# Every rule asks for the same call, and its result asks again.
@lru_cache(maxsize=1024)
def _parsed(text: str) -> _Shell:
    commands = commands_in(text)
    targets = [(d.target, d.body) for d in heredocs(text)[1] if d.target]
    for command in commands:
        if command.program == "sed" and any(w.startswith("-i") for w in command.words):
            targets.append((command.words[-1], " ".join(command.words[1:-1])))
    scripts = tuple(c.script for c in commands)
    return _Shell(commands, tuple(c.line for c in commands), scripts, tuple(targets))


def _shell(event: Event) -> _Shell:
    if event.kind != "tool_call" or tool_group(event.tool) != "shell":
        return _NO_SHELL
    return _parsed(event.text)


def commands_of(event: Event) -> tuple[ShellCommand, ...]:
    """Programs that a shell call runs; none for any other event."""
    return _shell(event).commands


def _some(event: Event, pattern: re.Pattern[str]) -> bool:
    return any(map(pattern.match, _shell(event).lines))


def _runs(event: Event, scripts: frozenset[str]) -> list[ShellCommand]:
    shell = _shell(event)
    if scripts.isdisjoint(shell.scripts):
        return []
    pairs = zip(shell.commands, shell.scripts, strict=True)
    found = (command for command, script in pairs if script in scripts)
    return [c for c in found if not {"--help", "-h", "-n"} & set(c.words[1:])]


def launched_configs(event: Event) -> list[Config]:
    """Configurations of the servers a call starts itself, scripts not followed."""
    return list(launches_in(event.text)) if commands_of(event) else []


def runs_launcher(event: Event) -> bool:
    """Whether a call runs the launcher script, directly or by the test script."""
    return bool(_runs(event, _LAUNCHERS))


def is_launch(event: Event) -> bool:
    """A call that starts a server: an engine's command, or the launcher script."""
    return runs_launcher(event) or bool(launched_configs(event))


def is_evaluation(event: Event) -> bool:
    """A call that runs the evaluator: ``evaluate.py``, or the script that wraps it."""
    return bool(_runs(event, _EVALUATORS))


def is_quick(event: Event) -> bool:
    """Whether all evaluations of a call are of the quick kind."""
    runs = _runs(event, _EVALUATORS)
    return bool(runs) and all("--quick" in c.words for c in runs)


def is_benchmark(event: Event) -> bool:
    """A call that measures with something else than the evaluator."""
    if not any(map(event.text.__contains__, _BENCHMARK_HINTS)):
        return False
    shell = _shell(event)
    for command, line, script in zip(*shell[:3], strict=True):
        module = " ".join(command.words[2:]) if command.words[1:2] == ("-m",) else ""
        if any(map(_BENCHMARK.match, (line, script, module))) and not _READ.match(line):
            return True
    return False


def is_install(event: Event) -> bool:
    """A call that brings software or weights in."""
    return _some(event, _INSTALL)


def is_monitor(event: Event) -> bool:
    """A call that waits, or looks at processes, logs or health."""
    return tool_group(event.tool) == "poll" or _some(event, _MONITOR)


def is_stop(event: Event) -> bool:
    """A call that ends processes."""
    return _some(event, _STOP)


def is_pure_read(event: Event) -> bool:
    """A call that only reads or prints."""
    if event.kind != "tool_call" or tool_group(event.tool) in {"read", "web"}:
        return event.kind == "tool_call"
    lines = _shell(event).lines
    return bool(lines) and not _targets(event) and all(map(_READ.match, lines))


def _targets(event: Event) -> tuple[tuple[str, str], ...]:
    """Files a call writes, with what it writes into each."""
    if event.kind == "tool_call" and event.path is not None:
        return ((event.path, event.text),)
    return _shell(event).targets


def launcher_written(event: Event) -> str | None:
    """What a call writes into the launcher; an edit gives the new part only."""
    for path, body in _targets(event):
        if path.rsplit("/", 1)[-1] == LAUNCHER:
            return body
    return None


def writes_launcher(event: Event) -> bool:
    """A call that writes or edits ``start_server.sh``."""
    return launcher_written(event) is not None


def writes_evaluator(event: Event) -> bool:
    """A call that writes or edits a file of the harness."""
    return any(p.rsplit("/", 1)[-1] in _HARNESS for p, _ in _targets(event))


def error_in(event: Event) -> str | None:
    """The words of a tool's output that say that something failed."""
    if event.kind != "tool_result":
        return None
    text = event.text
    for hint in _ERROR_HINTS:
        if hint in text:
            found = _ERROR.search(text)
            if found is not None:
                return found[0]
            break
    failed = event.exit_code not in {None, 0} or event.is_error is True
    return f"exit code {event.exit_code}" if failed else None


def is_blocked(event: Event) -> bool:
    """A result of a command that the sandbox refused to run (exit code 126)."""
    return event.kind == "tool_result" and event.exit_code == 126


def measurements_of(event: Event, call: Event | None) -> list[tuple[str, float]]:
    """Numbers of a result, unless its call only read a file that holds no results."""
    if event.kind != "tool_result":
        return []
    if call is not None and is_pure_read(call):
        named = f"{call.path or ''} {call.text}"
        if not _RESULT_FILE.search(named):
            return []
    return numbers_in(event.text)


def techniques_of(event: Event) -> list[tuple[str, str]]:
    """Techniques that the agent names, with the words; see ``techniques``."""
    if event.source != "agent":
        return []
    return list(mentioned(event.text))
