"""The report as JSON: written, described by a schema, and read back."""

from __future__ import annotations

import json
from functools import cache
from math import nan
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from dnnrepair.errors import DataError
from dnnrepair.fairness_report import FairnessReport
from dnnrepair.patch_report import PatchReport
from dnnrepair.plain import plain
from dnnrepair.rate import Rate
from dnnrepair.repair_report import RepairReport
from dnnrepair.report import SCHEMA_VERSION, Report
from dnnrepair.swap_report import SwapReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dnnrepair.finding import Finding

_NEVER_NONE = frozenset({"measured", "limit", "low", "high"})  # null there stood for NaN
_KINDS = {
    "diagnosis": Report,
    "fairness": FairnessReport,
    "patch": PatchReport,
    "repair": RepairReport,
    "swap": SwapReport,
}
KINDS = tuple(_KINDS)
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[kind])


def _sign(stored: dict[str, Any], finding: Finding) -> None:
    """Add the fingerprint, by which a baseline knows a finding again."""
    stored["fingerprint"] = finding.fingerprint
    for inner, consequence in zip(stored["consequences"], finding.consequences, strict=True):
        _sign(inner, consequence)


def render(
    report: Report | PatchReport | RepairReport | SwapReport | FairnessReport,
    explanations: Mapping[str, str],  # noqa: ARG001
) -> str:
    """Return the report as JSON that :func:`schema` describes; ASCII only."""
    stored = _diagnosis(report) if isinstance(report, Report) else _repair(report)
    return json.dumps(plain(stored), indent=2, allow_nan=False) + "\n"


def _diagnosis(report: Report) -> dict[str, Any]:
    stored: dict[str, Any] = _adapter("diagnosis").dump_python(report)
    _sign_all(stored["findings"], report.findings)
    return stored


def _repair(report: PatchReport | RepairReport | SwapReport | FairnessReport) -> dict[str, Any]:
    kind = next(name for name, known in _KINDS.items() if isinstance(report, known))
    stored: dict[str, Any] = _adapter(kind).dump_python(report)
    if isinstance(report, RepairReport):
        _sign_all(stored["found"], report.found)
        for name, course in (("course", report.course), ("baseline", report.baseline)):
            if course is not None:
                _sign_all(stored[name]["left"], course.left)
    return {"kind": kind, **_rated(stored)}


def _sign_all(stored: Sequence[dict[str, Any]], findings: Sequence[Finding]) -> None:
    for inner, finding in zip(stored, findings, strict=True):
        _sign(inner, finding)


def _rated(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Add to each rate its share and 95 % interval, so that no reader has to compute them."""
    if isinstance(value, tuple | list):
        return [_rated(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"hits", "tries"}:
        rate = Rate(**value)
        low, high = rate.interval()
        return {**value, "share": rate.value, "low": low, "high": high}
    return {key: _rated(inner) for key, inner in value.items()}


def schema(kind: str = "diagnosis") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what :func:`render` writes.

    Args:
        kind: of report, one of :data:`KINDS`.
    """
    described = _adapter(kind).json_schema(mode="serialization")
    parts = described["$defs"]
    if "Finding" in parts:
        parts["Finding"]["properties"]["fingerprint"] = {"type": "string", "title": "Fingerprint"}
    if "Rate" in parts:
        parts["Rate"]["properties"] |= {name: dict(_SHARE) for name in ("share", "low", "high")}
    if kind != "diagnosis":
        described["properties"]["kind"] = {"const": kind}
    for part in (*parts.values(), described):
        if "properties" in part:
            part["required"] = list(part["properties"])
            part["additionalProperties"] = False
            _allow_null(part["properties"])
    described["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    found: dict[str, Any] = plain(described)  # defaults that are NaN become null, too
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _allow_null(properties: dict[str, dict[str, Any]]) -> None:
    for described in properties.values():
        if described.get("type") == "number":
            described["type"] = ["number", "null"]


def _restored(value: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON value
    """Undo what :func:`render` adds and replaces."""
    if value is None:
        return nan if key in _NEVER_NONE else None
    if isinstance(value, dict):
        return {k: _restored(inner, k) for k, inner in value.items() if k != "fingerprint"}
    return [_restored(inner) for inner in value] if isinstance(value, list) else value


def load(text: str) -> Report:
    """Return the report that :func:`render` wrote.

    Raises:
        DataError: if it is no such report, or of another schema version.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"the report is not JSON ({error}); write one with --output-format json"
        raise DataError(message) from None
    if not isinstance(stored, dict) or "schema_version" not in stored:
        message = "the JSON is not a dnnrepair report; write one with --output-format json"
        raise DataError(message)
    if stored["schema_version"] != SCHEMA_VERSION:
        message = (
            f"the report has schema version {stored['schema_version']!r}, this dnnrepair reads "
            f"{SCHEMA_VERSION}; diagnose again to renew it"
        )
        raise DataError(message)
    if stored.get("kind", "diagnosis") != "diagnosis":
        message = "the report is of a repair; a baseline is a report of `dnnrepair diagnose`"
        raise DataError(message)
    try:
        report: Report = _adapter("diagnosis").validate_python(_restored(stored))
    except (ValidationError, RecursionError) as error:
        raise DataError(_complaint(error)) from None
    return report


def _complaint(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "the report is nested too deeply"
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"the report is damaged at {where!r}: {first['msg']}; diagnose again to renew it"
