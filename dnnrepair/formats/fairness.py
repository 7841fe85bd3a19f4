"""An audit put in order for all formats."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Document, Row, Section, Table
from dnnrepair.formats.fairness_repair import HEADLINES, repair_sections
from dnnrepair.formats.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.fairness_report import (
        Disparity,
        Estimate,
        FairnessReport,
        Group,
        Measurement,
        SensitiveAttribute,
    )

STATES = {"pass": "healthy", "fail": "error", "inconclusive": "warning"}
_HEADLINES = {
    "pass": "All limits are kept",
    "fail": "A limit is not kept",
    "inconclusive": "Inconclusive: too little is known to say",
}
_VERDICTS = (("healthy", "pass"), ("error", "fail"), ("warning", "inconclusive"))
_ELIGIBLE = (("healthy", "enough rows"), ("unexamined", "too few rows to judge"))
NAMES = {
    "base_rate": "base rate",
    "selection_rate": "selected",
    "tpr": "TPR",
    "fpr": "FPR",
    "ppv": "PPV",
    "accuracy": "accuracy",
    "calibration_error": "ECE",
    "mean_error": "mean error",
    "mean_absolute_error": "absolute error",
    "mean_prediction": "mean prediction",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
}
_HEADS = {**NAMES, "base_rate": "base", "selection_rate": "sel.", "accuracy": "acc."}
_MEANINGS = (
    "fav.: rows with the favorable label, base: their share; sel.: share with the favorable "
    "prediction; TPR, FPR: that share among rows whose label is favorable, or is not; PPV: share "
    "of favorable labels among favorable predictions; ECE: expected calibration error."
)
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
    """Return what there is to say of an audit, in order."""
    return Document(
        title=next((f.path for f in report.inputs.files), "predictions"),
        state=STATES.get(report.outcome.status, "note"),
        headline=_headline(report),
        goal=tuple(_measured(report)),
        verdict=report.outcome.reasons,
        sections=tuple(_sections(report)),
    )


def _headline(report: FairnessReport) -> str:
    known = HEADLINES if report.command == "debias" else _HEADLINES
    return known.get(report.outcome.status, report.outcome.status)


def shown(value: float, digits: int = 3) -> str:
    """Return a number for a table, ``-`` if it is undefined."""
    return f"{value:.{digits}f}" if isfinite(value) else "-"


def span(low: float, high: float, digits: int = 3) -> str:
    """Return an interval for a table, "" if there is none."""
    known = isfinite(low) and isfinite(high)
    return f"{low:.{digits}f} to {high:.{digits}f}" if known else ""


def attributes(report: FairnessReport) -> tuple[SensitiveAttribute, ...]:
    """Return the single attributes."""
    return tuple(one for one in report.inputs.sensitive if not one.parts)


def _measured(report: FairnessReport) -> Iterator[tuple[str, str]]:
    inputs = report.inputs
    for file in inputs.files:
        rows = "" if file.rows is None else f", {file.rows:,} rows"
        digest = f", sha256 {file.sha256[:12]}" if file.sha256 else ""
        yield file.role.capitalize(), f"{file.path}{rows}{digest}"
    values = ", ".join(inputs.classes[:10])
    favorable = f", favorable: {inputs.positive}" if inputs.positive else ""
    yield "Label", f"{inputs.label}{f' ({values})' if values else ''}{favorable}"
    for one in attributes(report):
        read = {True: ", an input", False: ", no input", None: ""}[one.is_model_input]
        yield "Groups by", f"{one.name}, compared with {one.reference}{read}"
    if isfinite(inputs.threshold):
        yield "Threshold", f"{inputs.threshold:g}"
    tools = [f"dnnrepair {report.tool.version}", f"numpy {report.tool.numpy}"]
    tools += [f"torch {report.tool.torch}"] if report.tool.torch else []
    yield "Run", f"seed {report.seed}, {report.draws:,} bootstrap draws, {', '.join(tools)}"


def _sections(report: FairnessReport) -> Iterator[Section]:
    (measured, *_) = report.before
    single = {one.name for one in attributes(report)}
    gated = [one for one in measured.disparities if one.gate]
    others = [one for one in measured.disparities if not one.gate and one.attribute in single]
    crossed = [one for one in measured.disparities if not one.gate and one.attribute not in single]
    yield from repair_sections(report)
    if gated:
        yield _gates(report, gated)
    yield _overall(measured)
    for one in attributes(report):
        yield _groups(measured, one.name)
    if measured.pairs:
        yield _pairs(measured)
    if others:
        yield Section(
            title="Other metrics",
            lead="Measured, but without a limit.",
            table=_disparity_table(others, limited=False),
        )
    yield from _crossed(report, measured, crossed)
    if report.individual:
        yield _individual(report)
    if report.cautions:
        items = tuple(_caution(c.code, c.attribute, c.message) for c in report.cautions)
        yield Section(title="Warnings", items=items)
    if report.skipped:
        yield Section(title="Not measured", items=report.skipped)
    if report.notes:
        yield Section(title="Notes", items=report.notes)
    yield Section(title="Limits of this report", items=_LIMITS_OF_IT)


def _gates(report: FairnessReport, found: Sequence[Disparity]) -> Section:
    how = "value" if report.gate_by == "point" else "95 % interval"
    return Section(
        title="Limits",
        lead=f"A limit passes if the {how} keeps it and fails if the {how} lies beyond it. “By "
        "chance” is what would be found on average if all groups were treated alike.",
        table=_disparity_table(found, limited=True),
    )


def _disparity_table(found: Sequence[Disparity], *, limited: bool) -> Table:
    columns = [
        Column(name="metric", number=False),
        Column(name="by", number=False),
        Column(name="value"),
        Column(name="95 % interval"),
        Column(name="by chance"),
    ]
    columns += [Column(name="limit")] if limited else []
    rows = tuple(_disparity_row(one, limited=limited) for one in found)
    return Table(columns=tuple(columns), rows=rows, legend=_VERDICTS if limited else ())


def _disparity_row(one: Disparity, *, limited: bool) -> Row:
    over = f", {one.over} over classes" if one.over else ""
    bound = "at least" if one.ratio else "at most"
    cells = [
        f"{one.title}{over}",
        one.attribute,
        shown(one.value),
        span(one.low, one.high),
        shown(one.noise_floor),
    ]
    if limited:
        cells.append(f"{bound} {one.limit:g}" if one.limit is not None else "")
    return Row(cells=tuple(cells), state=STATES.get(one.verdict, "") if limited else "")


def _overall(measured: Measurement) -> Section:
    columns = (
        Column(name="all rows", number=False),
        Column(name="value"),
        Column(name="95 % interval"),
    )
    rows = tuple(
        Row(cells=(NAMES.get(e.id, e.id), shown(e.value), span(e.low, e.high)))
        for e in measured.overall
    )
    return Section(title="Overall", table=Table(columns=columns, rows=rows))


def _groups(measured: Measurement, name: str) -> Section:
    groups = [group for group in measured.groups if group.attribute == name]
    columns = [Column(name=name, number=False), Column(name="n")]
    two = isfinite(groups[0].n_pos)
    columns += [Column(name="fav.")] if two else []
    columns += [Column(name=_HEADS.get(rate.id, rate.id)) for rate in groups[0].rates]
    rows = tuple(Row(cells=_cells(g, two=two), state=_enough(g)) for g in groups)
    return Section(
        title=f"Groups by {name}",
        lead=_MEANINGS if two else "",
        table=Table(columns=tuple(columns), rows=rows, legend=_ELIGIBLE),
        items=tuple(f"{g.level}: {g.reason}" for g in groups if g.reason),
        plotted=True,
    )


def _cells(group: Group, *, two: bool) -> tuple[str, ...]:
    favorable = (f"{group.n_pos:,.0f}",) if two else ()
    return (group.level, f"{group.n:,}", *favorable, *(shown(r.value) for r in group.rates))


def _enough(group: Group) -> str:
    return "healthy" if group.eligible else "unexamined"


def _pairs(measured: Measurement) -> Section:
    columns = (
        Column(name="rate", number=False),
        Column(name="group", number=False),
        Column(name="less", number=False),
        Column(name="difference"),
        Column(name="95 % interval"),
        Column(name="p"),
    )
    rows = tuple(
        Row(
            cells=(
                NAMES.get(one.rate, one.rate),
                one.level,
                one.reference,
                f"{one.value:+.3f}",
                f"{one.low:+.3f} to {one.high:+.3f}",
                "< 0.001" if one.p < 0.001 else shown(one.p),  # noqa: PLR2004
            )
        )
        for one in measured.pairs
    )
    return Section(
        title="Compared with the reference group",
        lead="Intervals hold for all groups of a rate together (Bonferroni), p-values are adjusted "
        "for their number (Holm).",
        table=Table(columns=columns, rows=rows),
    )


def _crossed(
    report: FairnessReport, measured: Measurement, found: Sequence[Disparity]
) -> Iterator[Section]:
    for one in report.inputs.sensitive:
        if one.parts:
            yield _cross_groups(measured, one.name, report.min_group)
    if found:
        limited = any(one.limit is not None for one in found)
        yield Section(
            title="Gaps between pairs of attributes",
            lead="They do not count for the verdict; --gate-intersections makes them count.",
            table=_disparity_table(found, limited=limited),
        )


def _cross_groups(measured: Measurement, name: str, least: int) -> Section:
    groups = [group for group in measured.groups if group.attribute == name]
    known = [group for group in groups if group.n >= least]
    small = [group for group in groups if group.n < least]
    section = _groups(measured, name)
    assert section.table is not None  # noqa: S101 - every attribute has groups
    hidden = {group.level for group in small}
    rows = tuple(row for row in section.table.rows if row.cells[0] not in hidden)
    items = tuple(f"{g.level}: {g.reason}" for g in groups if g.reason)
    if not known:
        return Section(title=section.title, items=items)
    table = Table(columns=section.table.columns, rows=rows, legend=_ELIGIBLE)
    return Section(title=section.title, table=table, items=items)


def _individual(report: FairnessReport) -> Section:
    items = []
    for one in report.individual:
        if one.reason:
            items.append(f"{one.attribute}: not measured: {one.reason}")
            continue
        said = [f"{counted(one.rows, 'row')} asked again with every other level"]
        if one.flip_rate is not None:
            said.append(f"{_percent(one.flip_rate)} of the decisions change")
        if one.independence is not None:
            inside = f"{one.independence.low:.3f} to {one.independence.high:.3f}"
            said.append(f"scores move by {one.independence.value:.3f} on average ({inside})")
        items.append(f"{one.attribute}: {', '.join(said)}")
    lead = "What changes if only the sensitive attribute of the same row is rewritten."
    return Section(title="Individuals", lead=lead, items=tuple(items))


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.2f} % ({100 * found.low:.2f} to {100 * found.high:.2f} %)"


def _caution(code: str, attribute: str, message: str) -> str:
    return f"{code}{f' ({attribute})' if attribute else ''}: {message}"
