"""Progress is shown to people who wait, and to nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dnnrepair.cli import progress
from dnnrepair.errors import DnnRepairError

WATCHED = """
import sys
from dnnrepair.cli import progress
progress.PATIENCE = -1.0
before = sys.stdout
with progress.working() as shown:
    shown.stage("loading", None)
    shown.stage("observing", 10)
    shown.advance(10)
    print("from the user's code")
assert sys.stdout is before
print("the report")
"""


def work() -> None:
    with progress.working() as shown:
        shown.stage("loading", None)
        shown.stage("observing", 10)
        shown.advance(10)
        print("from the user's code")  # noqa: T201


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_sees_the_stages_and_stdout_only_the_report() -> None:
    screen, keyboard = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        stdout=subprocess.PIPE,
        stderr=keyboard,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    os.close(keyboard)
    seen = os.read(screen, 1 << 20).decode()
    os.close(screen)
    assert done.stdout == b"the report\n"
    assert "observing" in seen
    assert "10/10" in seen
    assert "from the user's code" in seen


def test_a_pipe_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    assert capsys.readouterr() == ("", "from the user's code\n")


def test_quick_work_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 1000.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.working() as shown:
        shown.stage("loading", None)
    assert capsys.readouterr() == ("", "")


def test_code_that_exits_does_not_decide_the_exit_code() -> None:
    with pytest.raises(DnnRepairError, match="exit 0"), progress.working():
        sys.exit(0)


def test_the_bar_is_gone_whatever_happens() -> None:
    with pytest.raises(KeyboardInterrupt), progress.working():
        raise KeyboardInterrupt
