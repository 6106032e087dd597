"""The command line as a whole: options that are read, one line for every mistake."""

from __future__ import annotations

import ast
import inspect
import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.__main__ import COMMANDS, main
from ibench.load.spec import LoadSpec
from ibench.terminal import Table, plain

SCRIPT = Path(sys.executable).parent / "ibench"
HEAVY = ("torch", "pandas", "transformers", "scipy", "matplotlib", "nbformat")


def _functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, command in COMMANDS.items():
        module = REPOSITORY / "ibench" / f"{command.module.replace('.', '/')}.py"
        for node in ast.parse(module.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == command.function:
                yield name, node


FUNCTIONS = dict(_functions())


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the one line of a command that ends with exit code 2."""
    assert main(list(argv)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("ibench: ")
    return said.err


def on_a_terminal(*argv: str, columns: int = 80) -> str:
    """Run the console script on a terminal of its own; return what it showed."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(
        [str(SCRIPT), *argv], stdout=theirs, stderr=theirs, cwd=REPOSITORY, env=env
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.wait() == 0
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_read(name: str) -> None:
    function = FUNCTIONS[name]
    own = function.args
    assert (own.vararg, own.kwarg) == (None, None)
    declared = {a.arg for a in (*own.posonlyargs, *own.args, *own.kwonlyargs)}
    body = [node for part in function.body for node in ast.walk(part)]
    read = {n.id for n in body if isinstance(n, ast.Name)}
    assert declared - read == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    options = inspect.signature(COMMANDS[name].load()).parameters.values()
    assert options
    assert [o.name for o in options if not getattr(o.default, "help", None)] == []


def test_the_options_of_load_are_the_fields_of_its_model() -> None:
    options = set(inspect.signature(COMMANDS["load"].load()).parameters)
    fields = set(LoadSpec.model_fields)
    assert fields - options == set()
    client = LoadSpec.model_fields["client"].default
    assert options - fields == {*type(client).model_fields, "out"} - {"kind"}
    assert all(field.description for field in LoadSpec.model_fields.values())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["statsu"], "'statsu'. Did you mean 'status'"),
        (["status", "--profil", "cpu"], "--profil; did you mean '--profile'?"),
        (["load", "http://x", "--out", "y", "--conc", "4"], "load: no such option"),
        (["status"], "status: Missing option '--profile'"),
        (["status", "--profile"], "'--profile' requires an argument"),
        (["load", "http://x", "--out", "y", "--requests", "x"], "'--requests'"),
        (["load", "http://x", "--out", "y", "--client", "kernal"], "mean 'kernel'?"),
        (["load", "http://x", "--out", "y", "--seed", "1", "z"], "argument(s) (z)"),
        (["load", "ftp://x", "--out", "y"], "load: url: 'ftp://x'"),
        (["load", "http://x", "--out", "y", "--max-cpu-share", "2"], "--max-cpu-share"),
        (["load", "http://x", "--out", "y", "--arrivals", "poison:3"], "--arrivals"),
        (["status", "--cluster", "local", "--profile", "cpu"], "option: --cluster"),
        (["status", "--profile", "smok"], "did you mean 'smoke'?"),
        (["engine", "vlm"], "did you mean 'vllm'?"),
        (["submit", "--profile", "cpu", "--cluster", "lokal"], "did you mean 'local'?"),
        (["agents", "--agent", "codx"], "did you mean 'codex'?"),
        (["plan", "--profile", "cpu", "--costs", "h10"], "did you mean 'h100'?"),
        (["score", "http://x", "--scenario", "e"], "unknown; choose one of a, b, c, d"),
        (["search", "--engine", "vlm"], "did you mean 'vllm'?"),
        (["gpu-check", "--shape", "tiyn"], "did you mean 'tiny'?"),
        (["cancel", "--profile", "cpu", "a/baselin/21-1337"], "mean 'a/baseline/21-1"),
        (["trajectories", "x", "--out", "y", "--revision", "z"], "--revision"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_mistake_is_one_line_with_the_nearest_name(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, *argv)


def test_the_console_script_is_the_module(tmp_path: Path) -> None:
    said = [
        subprocess.run(
            [*start, "status", "--profile", "smoke", "--results", str(tmp_path)],
            cwd=REPOSITORY,
            capture_output=True,
            check=True,
        ).stdout
        for start in ([str(SCRIPT)], [sys.executable, "-m", "ibench"])
    ]
    assert said[0] == said[1]
    assert b"\x1b" not in said[0]


def test_help_and_status_import_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
        import sys
        from ibench.__main__ import main
        main(["--help"])
        main(["status", "--profile", "smoke", "--results", {str(tmp_path)!r}])
        print([m for m in {HEAVY!r} if m in sys.modules])
        """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_plain_text_where_nobody_looks(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert "--help" in text


def test_a_terminal_gets_groups_colours_and_its_own_width(tmp_path: Path) -> None:
    shown = on_a_terminal("--help")
    assert "\x1b[" in shown
    for group in ("Study", "Measure", "Paper and results", "Cluster", "Prepare"):
        assert group in shown
    options = ("--profile", "smoke", "--results", str(tmp_path))
    assert "\x1b[" in on_a_terminal("status", *options)


def test_plain_tables_are_neither_wrapped_nor_framed() -> None:
    long = "x" * 300
    table = Table(("name", ">value"), [("a", "1"), (long, "22")], title="two rows")
    assert plain("before", table) == [
        "before",
        "two rows",
        f"{'name':300}  value",
        f"{'a':300}      1",
        f"{long}     22",
    ]
    assert plain(Table(("a", "b"), [("1", "")], header=False)) == ["1"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_a_value_and_no_option_of_its_own(name: str) -> None:
    """A command that is called without its options must run."""
    for parameter in inspect.signature(COMMANDS[name].load()).parameters.values():
        default = getattr(parameter.default, "default", None)
        assert not hasattr(default, "param_decls"), parameter.name


def test_sessions_are_followed_until_none_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["sessions", "--profile", "smoke", "--follow", "--results", str(tmp_path)]
    assert main(argv) == 0
    assert capsys.readouterr().out == "no agent session has begun\n"
    shown = on_a_terminal(*argv)
    assert "no agent session has begun" in shown
    assert "\x1b[?25l" in shown  # the cursor is hidden while the view is redrawn
