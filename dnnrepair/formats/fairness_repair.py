"""What only a fairness repair has to say, put in order for all formats."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.fairness_report import Change, FairnessReport, Measurement

HEADLINES = {
    "pass": "Repaired: the gap is narrower on rows that nobody saw, and all limits are kept",
    "inconclusive": "Inconclusive: the repair may not hold on other rows",
    "nothing accepted": "Nothing accepted: the network stays as it is",
}
_BETTER_HIGH = frozenset(
    {"accuracy", "f1", "balanced_accuracy", "worst_group_accuracy", "demographic_parity_ratio"}
)
_NEUTRAL = frozenset({"selection_rate"})
_RATES = ("selection_rate", "tpr", "fpr", "ppv", "accuracy")
_HEADS = ("sel.", "TPR", "FPR", "PPV", "acc.")
_MEANINGS = (("healthy", "better"), ("error", "worse"), ("unexamined", "may be chance"))
_PARTS = {"repair": "rows that repair", "select": "rows that select", "test": "rows that judge"}


def repair_sections(report: FairnessReport) -> Iterator[Section]:
    """Yield what a repair changed, whom, at what price, and what others reach."""
    if report.objective is not None:
        yield _aim(report)
    if report.delta:
        yield _changes(report)
        yield _worse(report.delta)
    if report.after:
        yield _groups(report)
        yield _parts(report)
    if report.flips:
        yield _flips(report)
    if report.pareto:
        yield _front(report)
    if report.fairea is not None:
        yield _fairea(report)
    if report.baselines:
        yield _baselines(report)


def _aim(report: FairnessReport) -> Section:
    items = [f"objective: {report.objective.id} by {report.objective.attribute}"]  # type: ignore[union-attr]
    items += report.objective.settings  # type: ignore[union-attr]
    if report.search is not None:
        count, seconds = report.search.evaluations, report.search.seconds
        items.append(f"{count:,} candidates in {seconds:.1f} s")
    if report.patch is not None:
        card = report.patch
        items.append(
            f"patch: {card.weights:,} weights of {', '.join(card.layers)}, l2 {card.l2:.3g}, "
            f"largest change {card.linf:.3g}{f', written to {card.file}' if card.file else ''}"
        )
    else:
        items.append("patch: none was written")
    return Section(title="Repair", items=tuple(items))


def _changes(report: FairnessReport) -> Section:
    columns = (
        Column(name="on rows that judge", number=False),
        *(Column(name=name) for name in ("before", "after", "change", "95 % interval", "p")),
    )
    rows = tuple(
        Row(
            cells=(
                _named(one.id),
                _shown(one.before),
                _shown(one.after),
                f"{one.value:+.3f}" if isfinite(one.value) else "-",
                f"{one.low:+.3f} to {one.high:+.3f}" if isfinite(one.low) else "",
                "< 0.001" if one.p < 0.001 else _shown(one.p),  # noqa: PLR2004
            ),
            state=_state(one),
            chosen=one.optimized,
        )
        for one in report.delta
    )
    kept = tuple(
        f"{one.id} {one.observed:.4f}, limit {one.limit:g}: {'kept' if one.held else 'NOT kept'}"
        for one in report.constraints
    )
    return Section(
        title="Before and after",
        lead="Intervals are paired: the same rows, decided before and after.",
        table=Table(columns=columns, rows=rows, legend=_MEANINGS),
        items=kept,
    )


def _worse(delta: Sequence[Change]) -> Section:
    found = [one for one in delta if _state(one) == "error"]
    items = tuple(f"{_named(one.id)}: {_shown(one.before)} -> {_shown(one.after)}" for one in found)
    return Section(
        title="What got worse",
        lead="" if items else "No number got worse beyond what may be chance.",
        items=items,
    )


def _groups(report: FairnessReport) -> Section:
    before, after = report.before[0], report.after[0]
    name = report.objective.attribute if report.objective is not None else ""
    columns = [Column(name=name, number=False), Column(name="n")]
    for head in _HEADS:
        columns += [Column(name="before", group=head), Column(name="after", group=head)]
    rows = []
    for first, second in zip(before.groups, after.groups, strict=True):
        if first.attribute != name:
            continue
        cells = [first.level, f"{first.n:,}"]
        for rate in _RATES:
            cells += [_shown(first.rate(rate).value), _shown(second.rate(rate).value)]
        rows.append(Row(cells=tuple(cells)))
    return Section(
        title="Groups before and after",
        table=Table(columns=tuple(columns), rows=tuple(rows)) if rows else None,
    )


def _parts(report: FairnessReport) -> Section:
    columns = (
        Column(name="part", number=False),
        *(Column(name=name) for name in ("gap before", "gap after", "acc. before", "acc. after")),
    )
    metric = next((one.id for one in report.delta if one.optimized), "")
    rows = tuple(
        Row(
            cells=(
                _PARTS.get(first.part, first.part),
                _shown(_gap(first, metric, report)),
                _shown(_gap(second, metric, report)),
                _shown(_overall(first, "accuracy")),
                _shown(_overall(second, "accuracy")),
            )
        )
        for first, second in zip(report.before, report.after, strict=True)
    )
    return Section(
        title="Seen and unseen rows",
        lead="A gap much larger on rows that judge than on those that repair was fitted by chance.",
        table=Table(columns=columns, rows=rows),
    )


def _flips(report: FairnessReport) -> Section:
    columns = (
        Column(name="group", number=False),
        Column(name="label", number=False),
        *(Column(name=name) for name in ("n", "lost", "won")),
    )
    rows = tuple(
        Row(cells=(one.level, one.label, f"{one.n:,}", f"{one.lost:,}", f"{one.won:,}"))
        for one in report.flips
    )
    return Section(
        title="Who changed",
        lead="Lost: the favorable decision before and not after; won: the reverse.",
        table=Table(columns=columns, rows=rows),
    )


def _front(report: FairnessReport) -> Section:
    columns = (
        Column(name="accuracy that may be lost", number=False),
        Column(name="acc.", group="select"),
        Column(name="gap", group="select"),
        Column(name="acc.", group="judge"),
        Column(name="gap", group="judge"),
    )
    rows = tuple(
        Row(
            cells=(
                f"{one.budget:.2%}" if isfinite(one.budget) else "front",
                _shown(one.select_accuracy),
                _shown(one.select_gap),
                _shown(one.test_accuracy),
                _shown(one.test_gap),
            ),
            chosen=one.chosen,
        )
        for one in report.pareto
    )
    return Section(
        title="Accuracy against fairness",
        lead="Chosen by the rows that select alone; the figures of those that judge decided "
        "nothing here.",
        table=Table(columns=columns, rows=rows),
        plotted=False,
    )


def _fairea(report: FairnessReport) -> Section:
    assert report.fairea is not None  # noqa: S101 - the caller has looked
    columns = (Column(name="overwritten", number=False), Column(name="acc."), Column(name="gap"))
    count = max(len(report.fairea.baseline) - 1, 1)
    rows = [
        Row(cells=(f"{place / count:.0%}", _shown(accuracy), _shown(gap)))
        for place, (accuracy, gap) in enumerate(report.fairea.baseline)
    ]
    accuracy, gap = report.fairea.point
    rows.append(Row(cells=("the repair", _shown(accuracy), _shown(gap)), chosen=True))
    return Section(
        title=f"Beside random trade-offs: {report.fairea.region}",
        lead="What overwriting decisions at random by the more frequent one would buy (Fairea).",
        table=Table(columns=columns, rows=tuple(rows)),
    )


def _baselines(report: FairnessReport) -> Section:
    columns = (
        Column(name="method", number=False),
        *(Column(name=name) for name in ("acc.", "F1", "gap")),
        Column(name="must be told the group", number=False),
    )
    rows = [
        Row(
            cells=(
                one.id.replace("_", " "),
                _shown(one.accuracy),
                _shown(one.f1),
                _shown(one.gap),
                "yes" if one.uses_sensitive_at_inference else "no",
            )
        )
        for one in report.baselines
    ]
    if report.after:
        own = {name: _overall(report.after[0], name) for name in ("accuracy", "f1")}
        gap = next((one.after for one in report.delta if one.optimized), float("nan"))
        cells = ("this repair", _shown(own["accuracy"]), _shown(own["f1"]), _shown(gap), "no")
        rows.append(Row(cells=cells, chosen=True))
    return Section(
        title="Other methods",
        lead="Fitted to the rows that repair, measured on those that judge; only this repair and "
        "threshold per group know the limits.",
        table=Table(columns=columns, rows=tuple(rows)),
    )


def _state(one: Change) -> str:
    if one.id in _NEUTRAL or not (isfinite(one.low) and isfinite(one.high)):
        return ""
    if one.low <= 0 <= one.high:
        return "unexamined"
    return "healthy" if (one.value > 0) == (one.id in _BETTER_HIGH) else "error"


def _gap(measured: Measurement, metric: str, report: FairnessReport) -> float:
    name = report.objective.attribute if report.objective is not None else ""
    found = (d.value for d in measured.disparities if (d.id, d.attribute) == (metric, name))
    return next(found, float("nan"))


def _overall(measured: Measurement, name: str) -> float:
    return next((one.value for one in measured.overall if one.id == name), float("nan"))


def _named(name: str) -> str:
    return "F1" if name == "f1" else name.replace("_", " ")


def _shown(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "-"
