"""What a repair could have chosen, what it did choose, and what others reach."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Section, Table
from dnnrepair.formats.fairness.changes import overall_of
from dnnrepair.formats.fairness.numbers import shown
from dnnrepair.formats.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.fairness_report import FairnessReport, ParetoPoint

FRONT, PLANE, COURSE = "Accuracy against fairness", "Beside random trade-offs", "Search"


def choice_sections(report: FairnessReport) -> Iterator[Section]:
    """Yield the front, the random trade-offs beside it, and how the search went."""
    if report.pareto:
        yield _front(report)
    if report.fairea is not None:
        yield _plane(report)
    if report.search is not None:
        yield _course(report)


def patch_section(report: FairnessReport) -> Iterator[Section]:
    """Yield what was written."""
    if report.objective is None:
        return
    card = report.patch
    if card is None:
        yield Section(title="Patch", lead="None was written: the network stays as it is.")
        return
    reads = "changes" if card.sensitive_weights else "does not change"
    yield Section(
        title="Patch",
        facts=(
            ("File", card.file or "not written"),
            ("Layers", ", ".join(card.layers)),
            ("Weights changed", f"{card.weights:,}"),
            ("Size of the change", f"L2 {card.l2:.3g}, largest {card.linf:.3g}"),
            ("Sensitive inputs", f"it {reads} weights that read {report.objective.attribute}"),
        ),
    )


def other_methods(report: FairnessReport) -> Iterator[Section]:
    """Yield what other methods reach on the same rows."""
    if not report.baselines:
        return
    columns = (
        Column(name="method", number=False),
        *(Column(name=name) for name in ("acc.", "F1", "gap")),
        Column(name="told the group", number=False),
    )
    rows = [
        Row(
            cells=(
                one.id.replace("_", " "),
                shown(one.accuracy),
                shown(one.f1),
                shown(one.gap),
                "yes" if one.uses_sensitive_at_inference else "no",
            )
        )
        for one in report.baselines
    ]
    if report.after:
        own = [shown(overall_of(report.after[0], name)) for name in ("accuracy", "f1")]
        gap = next((one.after for one in report.delta if one.optimized), float("nan"))
        rows.append(Row(cells=("this repair", *own, shown(gap), "no"), chosen=True))
    yield Section(
        title="Other methods",
        lead="Fitted to the rows that repair, measured on those that judge. Only this repair and "
        "threshold per group know the limits; some methods must be told the group of each person "
        "to decide.",
        table=Table(columns=columns, rows=tuple(rows)),
    )


def named_points(report: FairnessReport) -> list[tuple[str, ParetoPoint]]:
    """Return each choice once, by rising accuracy, with the budgets that would take it."""
    budgets: dict[tuple[float, float], list[float]] = {}
    points: dict[tuple[float, float], ParetoPoint] = {}
    for one in report.pareto:
        key = (one.select_accuracy, one.select_gap)
        budgets.setdefault(key, [])
        if isfinite(one.budget):
            budgets[key].append(one.budget)
        if key not in points or one.chosen:
            points[key] = one
    return [
        (", ".join(f"{100 * budget:g}" for budget in budgets[key]), points[key])
        for key in sorted(points)
    ]


def _front(report: FairnessReport) -> Section:
    columns = (
        Column(name="points that may be lost", number=False),
        Column(name="acc.", group="select"),
        Column(name="gap", group="select"),
        Column(name="acc.", group="judge"),
        Column(name="gap", group="judge"),
    )
    rows = tuple(
        Row(
            cells=(
                budgets or "-",
                shown(one.select_accuracy),
                shown(one.select_gap),
                shown(one.test_accuracy),
                shown(one.test_gap),
            ),
            chosen=one.chosen,
        )
        for budgets, one in named_points(report)
    )
    return Section(
        title=FRONT,
        lead="Candidates that keep the limits and that no other beats in both, and which of them "
        "each budget of accuracy would take. The rows that select chose alone; the figures of "
        "those that judge decided nothing here.",
        table=Table(columns=columns, rows=rows),
    )


def _plane(report: FairnessReport) -> Section:
    assert report.fairea is not None  # noqa: S101 - the caller has looked
    columns = (Column(name="overwritten", number=False), Column(name="acc."), Column(name="gap"))
    count = max(len(report.fairea.baseline) - 1, 1)
    rows = [
        Row(cells=(f"{place / count:.0%}", shown(accuracy), shown(gap)))
        for place, (accuracy, gap) in enumerate(report.fairea.baseline)
    ]
    accuracy, gap = report.fairea.point
    rows.append(Row(cells=("this repair", shown(accuracy), shown(gap)), chosen=True))
    return Section(
        title=PLANE,
        lead=f"Region: {report.fairea.region}. The line is what overwriting decisions at random by "
        "the more frequent one would buy (Fairea, Hort et al. 2021).",
        table=Table(columns=columns, rows=tuple(rows)),
    )


def _course(report: FairnessReport) -> Section:
    found = report.search
    assert found is not None  # noqa: S101 - the caller has looked
    items = [f"{found.method}: {counted(found.evaluations, 'candidate')} in {found.seconds:.1f} s"]
    if found.history:
        items.append(
            f"smallest gap that keeps the limits, on rows that select: {found.history[0]:.3f} "
            f"after the first, {found.history[-1]:.3f} after the last"
        )
    return Section(title=COURSE, items=tuple(items))
