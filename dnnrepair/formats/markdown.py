"""Markdown for pull-request comments: a table of findings, remedies folded below it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dnnrepair.formats.words import (
    SYMBOLS,
    abbreviated,
    amount,
    counted,
    coverage,
    facts,
    place,
    reasons,
    verdict,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnnrepair.finding import Finding, Remedy
    from dnnrepair.report import Report

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, inside a table too.

    >>> escaped("a|b <b> @you")
    'a\\|b &lt;b&gt; @\u200byou'
    """
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", safe).replace("@", "@\u200b").replace("://", ":\u200b//")


def fence(code: str, language: str) -> str:
    """Return a code block whose fence is longer than any in the code."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{code}\n{ticks}"


def _row(finding: Finding, indent: str = "") -> str:
    cells = (
        f"{SYMBOLS[finding.severity]} {finding.severity.value}",
        f"{indent}{escaped(finding.code)}",
        escaped(place(finding)),
        escaped(finding.message),
        escaped(amount(finding.measured, finding.unit)),
        escaped(finding.healthy or amount(finding.limit, finding.unit)),
    )
    return f"| {' | '.join(cells)} |"


def _rows(finding: Finding, depth: int = 0) -> Iterator[str]:
    yield _row(finding, "↳ " * min(depth, 3))
    for consequence in finding.consequences:
        yield from _rows(consequence, depth + 1)


def _remedy(remedy: Remedy) -> Iterator[str]:
    yield escaped(remedy.advice)
    if remedy.code:
        yield fence(remedy.code, "python")
    if remedy.command:
        yield fence(remedy.command, "sh")


def _details(finding: Finding) -> Iterator[str]:
    if not (finding.evidence or finding.remedies or finding.units):
        return
    summary = f"{finding.code} in {place(finding)}".replace("&", "&amp;").replace("<", "&lt;")
    yield f"<details><summary>{summary.replace('>', '&gt;')}</summary>"
    evidence = list(finding.evidence)
    if finding.units:
        evidence.insert(0, f"units {abbreviated(finding.units)}")
    if evidence:
        yield "\n".join(f"- {escaped(fact)}" for fact in evidence)
    for remedy in finding.remedies:
        yield from _remedy(remedy)
    yield "</details>"


def _skipped(report: Report) -> Iterator[str]:
    if not report.skipped:
        return
    yield f"<details><summary>{counted(len(report.skipped), 'check')} skipped</summary>"
    yield "\n".join(
        f"- {escaped(reason)}: {escaped(', '.join(codes))}"
        for reason, codes in reasons(report.skipped)
    )
    yield "</details>"


def _blocks(report: Report) -> Iterator[str]:
    yield f"### dnnrepair: {escaped(verdict(report))}"
    yield " · ".join(f"{name} {escaped(value)}" for name, value in facts(report))
    if report.findings:
        rows = [row for finding in report.findings for row in _rows(finding)]
        head = "| severity | rule | layer | fault | measured | healthy |"
        yield "\n".join((head, "|---|---|---|---|---|---|", *rows))
    for finding in walk(report.findings):
        yield from _details(finding)
    yield from _skipped(report)
    yield f"{escaped(coverage(report))}."


def render(report: Report, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return "\n\n".join(_blocks(report)) + "\n"
