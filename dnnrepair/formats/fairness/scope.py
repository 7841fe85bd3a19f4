"""What was measured on what: the card of the data and of the run."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Section
from dnnrepair.formats.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.fairness_report import FairnessReport, SensitiveAttribute

PARTS = {"repair": "repair", "select": "select", "test": "judge"}
_MOST_CLASSES = 10
_MOST_LEVELS = 6


def scope(report: FairnessReport) -> Section:
    """Return what was measured, on what, and with what."""
    return Section(title="What was measured", facts=tuple(_facts(report)))


def attributes(report: FairnessReport) -> tuple[SensitiveAttribute, ...]:
    """Return the single attributes."""
    return tuple(one for one in report.inputs.sensitive if not one.parts)


def _facts(report: FairnessReport) -> Iterator[tuple[str, str]]:
    inputs = report.inputs
    for file in inputs.files:
        rows = "" if file.rows is None else f", {counted(file.rows, 'row')}"
        digest = f", sha256 {file.sha256[:12]}" if file.sha256 else ""
        yield file.role.capitalize(), f"{file.path}{rows}{digest}"
    if report.command == "debias" and len(report.before) > 1:
        sizes = {one.part: _size(report, place) for place, one in enumerate(report.before)}
        told = [f"{sizes[part]:,} {verb}" for part, verb in PARTS.items() if part in sizes]
        yield "Rows", f"{', '.join(told)}; those that judge were read once"
    values = ", ".join(inputs.classes[:_MOST_CLASSES])
    rest = len(inputs.classes) - _MOST_CLASSES
    values += f" and {rest} more" if rest > 0 else ""
    favorable = f", favorable: {inputs.positive}" if inputs.positive else ""
    yield "Label", f"{inputs.label}{f' ({values})' if values else ''}{favorable}"
    for one in attributes(report):
        yield "Groups by", _attribute(one)
    if inputs.weight:
        yield "Weights", inputs.weight
    if isfinite(inputs.threshold):
        yield "Threshold", f"{inputs.threshold:g}"
    if report.objective is not None:
        aim = f"{report.objective.id} by {report.objective.attribute}"
        yield "Objective", "; ".join((aim, *report.objective.settings))
    tools = [f"dnnrepair {report.tool.version}", f"numpy {report.tool.numpy}"]
    tools += [f"torch {report.tool.torch}"] if report.tool.torch else []
    yield "Run", f"seed {report.seed}, {report.draws:,} bootstrap draws, {', '.join(tools)}"


def _attribute(one: SensitiveAttribute) -> str:
    levels = ", ".join(one.levels[:_MOST_LEVELS])
    rest = len(one.levels) - _MOST_LEVELS
    levels += f" and {rest} more" if rest > 0 else ""
    read = {True: "; the network reads it", False: "; the network does not read it", None: ""}
    return f"{one.name} ({levels}), compared with {one.reference}{read[one.is_model_input]}"


def _size(report: FairnessReport, place: int) -> int:
    """Return the rows of a part."""
    name = attributes(report)[0].name
    return sum(group.n for group in report.before[place].groups if group.attribute == name)
