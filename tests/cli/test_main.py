"""Every way a run can end has its exit code and says one line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest

from dnnrepair import __version__
from dnnrepair.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable


def raising(error: BaseException) -> click.Command:
    @click.command("rules")
    def command() -> int:
        raise error

    return command


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Return a function that makes ``dnnrepair rules`` end with an exception."""

    def end(error: BaseException) -> None:
        monkeypatch.setattr(main.CommandLine, "get_command", lambda *_: raising(error))

    return end


def test_help_lists_every_command(dnnrepair: Any) -> None:
    said = dnnrepair("--help")
    assert said.code == 0
    for name in main.COMMANDS:
        assert f"\n  {name} " in said.out
    assert "..." not in said.out.partition("Commands:")[2]  # summaries are whole


def test_version(dnnrepair: Any) -> None:
    assert __version__ in dnnrepair("--version").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diagnos"], "did you mean 'diagnose'?"),
        (["qqq"], "known: diagnose"),
        (["diagnose"], "Missing argument 'MODEL'"),
        (["diagnose", "m.pt", "--outptu", "x"], "--output"),
        (["diagnose", "m.pt", "--fail-on", "fatal"], "'error', 'warning', 'note'"),
        (["diagnose", "m.pt", "--input-shape", "3,x"], "is not a shape such as 3,32,32"),
        (["diagnose", "m.pt", "--scale", "1/0"], "not a finite number such as 0.5 or 1/255"),
        (["diagnose", "m.pt", "--mean", "0,nan"], "not a list of finite numbers"),
        (["diagnose", "m.pt", "--batch-size", "0"], "x>=1"),
        (["explain", "ACT01"], "did you mean 'ACT001'?"),
        (["bench", "nothing"], "'diagnose', 'observe'"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_usage_is_one_line_with_the_way_out(
    dnnrepair: Any, arguments: list[str], words: str
) -> None:
    said = dnnrepair(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err


def test_no_command_shows_the_commands(dnnrepair: Any) -> None:
    said = dnnrepair()
    assert (said.code, said.out) == (2, "")
    assert "diagnose" in said.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("odd\nthing"), 2, "internal error, ValueError: odd thing"),
        (EOFError("short"), 2, "a file ended too early"),
        (MemoryError(), 2, "smaller --batch-size"),
        (RecursionError("deep"), 2, "RecursionError"),
        (click.ClickException("no"), 2, "error: no"),
        (KeyboardInterrupt(), 130, "interrupted: nothing was written"),
        (click.Abort(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "No space left"),
    ],
)
def test_no_exception_escapes(
    dnnrepair: Any, ending: Any, error: BaseException, code: int, words: str
) -> None:
    ending(error)
    said = dnnrepair("rules")
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_debug_shows_the_traceback(
    dnnrepair: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setenv("DNNREPAIR_DEBUG", "1")
    said = dnnrepair("explain", "ACT01", *(["--debug"] if how == "flag" else []))
    assert said.code == 2
    assert "Traceback" in said.err
    assert said.err.rstrip().splitlines()[-1].startswith("error: ")


def test_control_characters_do_not_reach_the_terminal(dnnrepair: Any) -> None:
    assert "\x1b" not in dnnrepair("explain", "\x1b[31mACT").err


HEAVY = "'torch', 'numpy', 'pandas', 'matplotlib', 'pydantic', 'scipy', 'rich', 'jinja2'"


@pytest.mark.parametrize(
    "work",
    ["import dnnrepair", "from dnnrepair.cli.main import run; run(['--help'])"]
    + [f"from dnnrepair.cli.main import run; run(['{name}', '--help'])" for name in main.COMMANDS],
)
def test_help_imports_nothing_heavy(work: str) -> None:
    code = f"import sys; {work}; sys.exit(str({{{HEAVY}}} & set(sys.modules) or '') or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_may_close_the_pipe_early() -> None:
    code = "import sys; from dnnrepair.cli.main import run; sys.exit(run(['schema']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
