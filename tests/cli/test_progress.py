"""Progress is shown to people who wait, and to nobody else."""

from __future__ import annotations

import sys

import pytest

from dnnrepair.cli import progress
from dnnrepair.errors import DnnRepairError


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ARG001 - replaces stderr first
    """Let stderr be a terminal that has waited long enough."""
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def work() -> None:
    with progress.working() as shown:
        shown.stage("loading", None)
        shown.stage("observing", 10)
        shown.advance(10)
        print("from the user's code")  # noqa: T201


@pytest.mark.usefixtures("terminal")
def test_a_terminal_sees_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    out, err = capsys.readouterr()
    assert out == ""
    assert "observing" in err
    assert "10/10" in err


def test_a_pipe_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    assert capsys.readouterr() == ("", "from the user's code\n")


@pytest.mark.usefixtures("terminal")
def test_quick_work_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 1000.0)
    with progress.working() as shown:
        shown.stage("loading", None)
    assert capsys.readouterr() == ("", "")


def test_code_that_exits_does_not_decide_the_exit_code() -> None:
    with pytest.raises(DnnRepairError, match="exit 0"), progress.working():
        sys.exit(0)


def test_the_bar_is_gone_whatever_happens() -> None:
    with pytest.raises(KeyboardInterrupt), progress.working():
        raise KeyboardInterrupt
