"""What commands have in common when they speak."""

from __future__ import annotations

import os
import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

DEBUG_VARIABLE = "DNNREPAIR_DEBUG"
PLAIN_WIDTH = 80  # of text that no terminal asked for


def one_line(text: str) -> str:
    """Return text from anywhere as one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def say(text: str) -> None:
    """Print prose to stderr; stdout is for the report."""
    click.echo(one_line(text), err=True)


def write(text: str) -> None:
    """Print a result to stdout; a reader that has seen enough may close the pipe."""
    stream = sys.stdout
    try:
        stream.write(text if can_show(text, stream) else _replaced(text, stream))
        if not text.endswith("\n"):
            stream.write("\n")
        stream.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until exit


def width() -> int:
    """Return the columns to fill."""
    return get_terminal_size().columns if sys.stdout.isatty() else PLAIN_WIDTH


def colored(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to color stdout (https://no-color.org and https://force-color.org)."""
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or (
        sys.stdout.isatty() and environment.get("TERM") != "dumb"
    )


def can_show(text: str, stream: TextIO | None = None) -> bool:
    """Whether a stream, stdout by default, has all these characters."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _replaced(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "ascii"
    return text.encode(encoding, "replace").decode(encoding, "replace")
