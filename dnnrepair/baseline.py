"""Leaving out what an earlier report already said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dnnrepair.finding import Finding
    from dnnrepair.report import Report


def read_baseline(path: Path) -> Report:
    """Return the report that ``--output-format json`` wrote.

    Raises:
        DataError: if the file cannot be read or is no such report.
    """
    from dnnrepair.formats.stored import load

    try:
        return load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, DataError) as error:
        message = f"cannot use {path} as a baseline: {error}"
        raise DataError(message) from error


def without_known(report: Report, old: Report) -> Report:
    """Return the report without the findings of an older one, counted as suppressed.

    A finding is known if the old report has one of the same rule in the same layer that was at
    least as severe. Where a known root has a new consequence, the consequence takes its place.
    """
    known: dict[str, int] = {}
    for finding in _all(old.findings):
        rank = finding.severity.rank
        known[finding.fingerprint] = min(rank, known.get(finding.fingerprint, rank))
    fresh = [kept for finding in report.findings for kept in _new(finding, known)]
    fresh.sort(key=lambda finding: finding.severity.rank)
    gone = sum(1 for _ in _all(report.findings)) - sum(1 for _ in _all(fresh))
    return replace(report, findings=tuple(fresh), suppressed=report.suppressed + gone)


def _new(finding: Finding, known: Mapping[str, int]) -> Iterator[Finding]:
    consequences = [new for follower in finding.consequences for new in _new(follower, known)]
    if known.get(finding.fingerprint, finding.severity.rank + 1) <= finding.severity.rank:
        yield from consequences
    else:
        yield replace(finding, consequences=tuple(consequences))


def _all(findings: tuple[Finding, ...] | list[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        yield from _all(finding.consequences)
