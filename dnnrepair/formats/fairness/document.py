"""A fairness report put in order for all formats.

The order is that in which readers ask: the verdict and its limits, what was measured, the numbers
that matter, groups, pairs of attributes, trade-offs, who changed, all other numbers, how it was
done, what others reach, single rows, warnings, and what the report cannot tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Document, Row, Section, Table
from dnnrepair.formats.fairness import changes, choices, disparities, groups
from dnnrepair.formats.fairness.numbers import NAMES, STATES, shown, span
from dnnrepair.formats.fairness.persons import persons
from dnnrepair.formats.fairness.scope import scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.fairness_report import Caution, FairnessReport

_AUDIT = {
    "pass": "All limits are kept",
    "fail": "A limit is not kept",
    "inconclusive": "Inconclusive: too little is known to say",
}
_REPAIR = {
    "pass": "Repaired: the gap is narrower on rows that nobody saw, and all limits are kept",
    "inconclusive": "Inconclusive: the repair may not hold on other rows",
    "nothing accepted": "Nothing accepted: the network stays as it is",
}
_IMPOSSIBLE = (
    "Where base rates differ between groups, demographic parity, equalized odds and predictive "
    "parity cannot all hold unless predictions are perfect (Chouldechova 2017; Kleinberg et al. "
    "2016): which one matters is a decision about the use, not a measurement."
)
_LIMITS_OF_IT = (
    _IMPOSSIBLE,
    "Labels are taken as the truth; where they carry past unfairness, so does every number here.",
    "What holds on these rows need not hold on others, later, or for groups that are not recorded.",
    "A measurement is no legal advice, and a passed limit no proof of fairness.",
)


def document(report: FairnessReport) -> Document:
    """Return what there is to say of an audit or a repair, in order."""
    return Document(
        title=next((f.path for f in report.inputs.files), "predictions"),
        state=STATES.get(report.outcome.status, "note"),
        headline=_headline(report),
        goal=(),
        verdict=(*report.outcome.reasons, *_warned(report)),
        sections=tuple(_repair(report) if report.command == "debias" else _audit(report)),
    )


def _headline(report: FairnessReport) -> str:
    known = _REPAIR if report.command == "debias" else _AUDIT
    return known.get(report.outcome.status, report.outcome.status)


def _warned(report: FairnessReport) -> Iterator[str]:
    codes = dict.fromkeys(one.code for one in report.cautions)
    if codes:
        yield f"Warnings, explained below: {', '.join(codes)}"


def _audit(report: FairnessReport) -> Iterator[Section]:
    yield from disparities.gates(report)
    yield scope(report)
    yield _overall(report)
    yield from groups.group_sections(report)
    yield from groups.cross_sections(report)
    yield from disparities.crossed(report)
    yield from groups.score_sections(report)
    yield from disparities.others(report)
    yield from persons(report)
    yield from _closing(report)


def _repair(report: FairnessReport) -> Iterator[Section]:
    yield from disparities.repair_gates(report)
    yield scope(report)
    if not report.after:
        yield _overall(report)
    yield from changes.headline_changes(report)
    yield from groups.group_sections(report)
    yield from groups.cross_sections(report)
    yield from choices.choice_sections(report)
    yield from groups.score_sections(report)
    yield from changes.who_changed(report)
    yield from changes.other_changes(report)
    yield from choices.patch_section(report)
    yield from choices.other_methods(report)
    yield from persons(report)
    yield from _closing(report)


def _overall(report: FairnessReport) -> Section:
    columns = (
        Column(name="all rows", number=False),
        Column(name="value"),
        Column(name="95 % interval"),
    )
    rows = tuple(
        Row(cells=(NAMES.get(e.id, e.id), shown(e.value), span(e.low, e.high)))
        for e in report.before[0].overall
    )
    return Section(title="Overall", table=Table(columns=columns, rows=rows))


def _closing(report: FairnessReport) -> Iterator[Section]:
    if report.cautions:
        yield Section(title="Warnings", items=tuple(map(_caution, report.cautions)))
    if report.skipped:
        yield Section(title="Not measured", items=report.skipped)
    if report.notes:
        yield Section(title="Notes", items=report.notes)
    yield Section(title="Limits of this report", items=_LIMITS_OF_IT)


def _caution(one: Caution) -> str:
    return f"{one.code}{f' ({one.attribute})' if one.attribute else ''}: {one.message}"
