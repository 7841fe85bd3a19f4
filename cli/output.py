"""Where a report goes, and in which format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dnnrepair.cli import words
from dnnrepair.cli.exits import Exit, exit_of
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dnnrepair.formats import AnyReport
    from dnnrepair.report import Report

FORMATS = ("text", "json", "sarif", "github", "markdown", "html")
SUFFIXES = {
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".md": "markdown",
    ".sarif": "sarif",
    ".txt": "text",
}
PARTIAL = "dnnrepair-report-interrupted"  # in the current folder, where no --output was given


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where a report goes, and in which format.

    Attributes:
        path: the file, None for stdout.
        style: name of the format.
    """

    path: Path | None
    style: str

    @classmethod
    def ready(cls, path: Path | None, style: str | None, *, keep: Iterable[Path]) -> Output:
        """Return the output, after making sure that it can be written without loss.

        Args:
            path: as the user gave it.
            style: name of the format, None to infer it from the file's suffix.
            keep: inputs, which must not be overwritten.
        """
        if path is None:
            return cls(path=None, style=style or "text")
        check_writable(path, keep=keep)
        return cls(path=path, style=style or SUFFIXES.get(path.suffix.lower(), "text"))

    def deliver(self, report: Report, fail_on: str) -> Exit:
        """Write the report, say where it is, and return the run's exit code."""
        if os.environ.get("RANK", "0") != "0":  # torchrun: the first process speaks for all
            return exit_of(report, fail_on)
        if report.interrupted and self.path is None:
            words.write(drawn(report, self.style))
        path = self.path or (self._partial() if report.interrupted else None)
        if path is None:
            words.write(drawn(report, self.style))
        else:
            write_whole(path, drawn(report, self.style, stored=True))
            kind = "partial report" if report.interrupted else "report"
            words.say(f"{'interrupted: ' * report.interrupted}{kind} written to {path}")
        return exit_of(report, fail_on)

    def _partial(self) -> Path:
        suffix = next(suffix for suffix, style in _suffixes() if style == self.style)
        return Path(PARTIAL + suffix)


def drawn(report: AnyReport, style: str, *, stored: bool = False) -> str:
    """Return the report in a format, for a file (``stored``) or for stdout."""
    from dnnrepair.finding import rules
    from dnnrepair.formats import render

    explanations = {code: rules[code].__doc__ or "" for code in rules}
    if style != "text" or stored:
        return render(report, style, explanations=explanations)
    return render(
        report,
        style,
        explanations=explanations,
        width=words.width(),
        color=words.colored(),
        ascii_only=not words.can_show("✔●▲✖├"),
    )


def _suffixes() -> tuple[tuple[str, str], ...]:
    return (*SUFFIXES.items(), (".txt", "github"))
