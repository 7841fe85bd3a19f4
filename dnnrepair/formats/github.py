"""GitHub workflow commands: one annotation per finding, then the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.finding import Severity
from dnnrepair.formats.words import counted, place, source_line, verdict, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.finding import Finding
    from dnnrepair.report import Report

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def _data(text: str) -> str:
    """Escape a message, as actions/toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property, as actions/toolkit does."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _annotation(finding: Finding) -> str:
    title = _property(f"{finding.code} {finding.layer}".strip())
    source = source_line(finding.where)
    at = f",file={_property(source[0])},line={source[1]}" if source else ""
    lines = [f"{place(finding)}: {finding.message}"]
    if finding.consequences:
        number = sum(1 for _ in walk(finding.consequences))
        lines.append(f"Behind {counted(number, 'further finding')}.")
    lines.extend(remedy.advice for remedy in finding.remedies[:1])
    return f"::{_COMMANDS[finding.severity]} title={title}{at}::{_data(chr(10).join(lines))}"


def render(report: Report, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return one line per root finding and one with the verdict."""
    lines = [_annotation(finding) for finding in report.findings]
    lines.append(f"::notice title=dnnrepair::{_data(f'{report.model.name}: {verdict(report)}')}")
    return "\n".join(lines) + "\n"
