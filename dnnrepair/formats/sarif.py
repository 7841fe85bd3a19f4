"""SARIF 2.1.0, for code scanning (OASIS standard, docs.oasis-open.org/sarif/sarif/v2.1.0)."""

from __future__ import annotations

import json
from inspect import cleandoc
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dnnrepair.formats.words import amount, clean, place, source_line, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dnnrepair.finding import Finding, Skip
    from dnnrepair.report import Report

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def _uri(file: str) -> str:
    """Return a URI reference to a file, relative if its path is."""
    path = PurePath(file.encode("utf-8", "replace").decode())
    prefix = "file://" if path.is_absolute() else ""
    return prefix + quote(path.as_posix(), safe="/")


def _descriptor(code: str, explanation: str) -> dict[str, Any]:
    text = cleandoc(explanation) or code
    first = text.partition("\n")[0]
    return {
        "id": code,
        "shortDescription": {"text": first},
        "fullDescription": {"text": text.partition("\n## ")[0].strip()},
        "help": {"text": text, "markdown": text},
    }


def _message(finding: Finding, cause: Finding | None) -> str:
    lines = [f"{place(finding)}: {finding.message}", *finding.evidence]
    lines.extend(f"Remedy: {remedy.advice}" for remedy in finding.remedies)
    if cause:
        lines.append(f"Follows from {cause.code} in {place(cause)}.")
    return "\n".join(map(clean, lines))


def _result(finding: Finding, cause: Finding | None, codes: list[str], uri: str) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri}}}
    if finding.layer:
        location["logicalLocations"] = [
            {"fullyQualifiedName": clean(finding.layer), "kind": "module"}
        ]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": finding.severity.value,
        "message": {"text": _message(finding, cause)},
        "locations": [location],
        "partialFingerprints": {"dnnrepair/v1": finding.fingerprint},
        "properties": {
            "measured": amount(finding.measured, finding.unit),
            "limit": amount(finding.limit, finding.unit),
            "healthy": clean(finding.healthy),
        },
    }
    if source := source_line(finding.where):
        region = {"artifactLocation": {"uri": _uri(source[0])}, "region": {"startLine": source[1]}}
        result["relatedLocations"] = [
            {"id": 0, "physicalLocation": region, "message": {"text": "the call in your code"}}
        ]
    return result


def _with_causes(
    findings: Sequence[Finding], cause: Finding | None = None
) -> Iterator[tuple[Finding, Finding | None]]:
    for finding in findings:
        yield finding, cause
        yield from _with_causes(finding.consequences, finding)


def _notification(skip: Skip) -> dict[str, Any]:
    at = f" in {skip.layer}" if skip.layer else ""
    text = clean(f"{skip.code} skipped{at}: {skip.reason}")
    return {"level": "note", "message": {"text": text}, "descriptor": {"id": skip.code}}


def render(report: Report, explanations: Mapping[str, str]) -> str:
    """Return one run: the model file holds the results, layers are logical locations in it."""
    found = {finding.code for finding in walk(report.findings)}
    codes = sorted(found.union(report.checked))
    uri = _uri(report.model.name)
    driver = {
        "name": "dnnrepair",
        "version": report.tool_version or "0",
        "rules": [_descriptor(code, explanations.get(code, "")) for code in codes],
    }
    invocation = {
        "executionSuccessful": not report.interrupted,
        "toolExecutionNotifications": [_notification(skip) for skip in report.skipped],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "artifacts": [{"location": {"uri": uri}}],
        "results": [_result(f, cause, codes, uri) for f, cause in _with_causes(report.findings)],
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"
