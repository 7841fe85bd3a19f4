"""A whole repair, attempt by attempt, put in order for all formats."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Document, Figure, Row, Section, Table
from dnnrepair.formats.shares import percent, points, reach, share, span, tried
from dnnrepair.formats.words import counted, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.finding import Finding
    from dnnrepair.repair_report import Attempt, Course, RepairReport, Score

NOTHING = "No treatment was kept, and nothing was written"
_COLUMNS = (
    Column(name="no."),
    Column(name="finding", number=False),
    Column(name="treatment", number=False),
    Column(name="before", group="loss"),
    Column(name="after", group="loss"),
    Column(name="before", group="right %"),
    Column(name="after", group="right %"),
)
_LEGEND = (("healthy", "kept"), ("unexamined", "not kept"))
_PARTS = (
    Column(name="part", number=False),
    Column(name="inputs"),
    Column(name="what it is for", number=False),
)


def document(report: RepairReport) -> Document:
    """Return what there is to say of a repair, in order."""
    return Document(
        title=report.model.name,
        state=_state(report),
        headline=_headline(report),
        goal=tuple(_goal(report)),
        verdict=tuple(_sentences(report)),
        figures=tuple(_figures(report.course)) if report.accepted else (),
        sections=tuple(_sections(report)),
    )


def _state(report: RepairReport) -> str:
    found = report.course.verdict
    if not report.accepted:
        return "error"
    if found is None:
        better = report.course.after.loss < report.course.before.loss
        return "healthy" if better else "warning"
    if found.gain.value < 0:
        return "warning"
    return "healthy" if found.gain.low >= 0 else "note"


def _headline(report: RepairReport) -> str:
    if not report.accepted:
        return NOTHING
    course, kept = report.course, counted(len(report.course.kept), "treatment")
    return f"{kept} kept: {_change(course.before, course.after)} on held-out data"


def _change(before: Score, after: Score) -> str:
    if before.right is not None and after.right is not None:
        return f"accuracy {percent(before.right.value)} → {share(after.right)}"
    return f"loss {_loss(before)} → {_loss(after)}"


def _loss(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{score.loss:.4g}" if isfinite(score.loss) else "not finite"


def _goal(report: RepairReport) -> Iterator[tuple[str, str]]:
    model = report.model
    yield "Network", f"{model.name} on {model.data}" if model.data else model.name
    yield "Found", ", ".join(f"{one.code} in {place(one)}" for one in report.found[:_SHOWN])
    if report.files:
        yield "Written", f"{', '.join(report.files)} ({report.form})"


_SHOWN = 4  # findings in the head


def _sentences(report: RepairReport) -> Iterator[str]:
    course = report.course
    if report.accepted:
        yield from _judged(course)
        for attempt in course.kept:
            yield f"Kept, attempt {attempt.number}: {attempt.treatment}; {attempt.reason}."
    else:
        yield f"{counted(len(course.attempts), 'attempt')}, of which none helped."
    yield _left(course)
    yield f"The loop ended: {report.reason}."
    if report.baseline is not None:
        yield _compared(report.baseline)
    if report.accepted and not report.files:
        yield "Nothing was written."


def _judged(course: Course) -> Iterator[str]:
    """Yield what happened to the held-out part: benefit, harm, and both together."""
    found = course.verdict
    loss = f"mean loss {_loss(course.before)} → {_loss(course.after)}"
    if found is None:
        yield f"On the held-out part, {loss}."
        return
    gained = reach(found.gain)
    yield (
        f"On the held-out part, which nothing else saw, it fixed {tried(found.targets)} that were "
        f"wrong and broke {tried(found.broken)} that were right; accuracy "
        f"{percent(found.before.value)} → {share(found.after)} "
        f"({points(found.gain.value)} points{f', paired 95 % interval {gained}' if gained else ''})"
        f"; {loss}."
    )
    if found.gain.low < 0 <= found.gain.value:
        yield "The change in accuracy may be chance: its interval reaches below 0."
    if found.gain.value < 0:
        yield "It loses accuracy there, although it gained on the part that chose."


def _left(course: Course) -> str:
    if not course.left:
        return "No error and no warning is left."
    codes = ", ".join(dict.fromkeys(f"{one.code} ({one.severity.value})" for one in course.left))
    return f"Left: {codes}."


def _compared(other: Course) -> str:
    kept = "; ".join(one.treatment for one in other.kept) or "nothing"
    return (
        f"{counted(len(other.attempts), 'treatment')} drawn at random: "
        f"{_change(other.before, other.after)} on the same inputs (kept: {kept})."
    )


def _figures(course: Course) -> Iterator[Figure]:
    found = course.verdict
    if found is not None:
        rates = (
            ("Wrong ones fixed", found.targets),
            ("Right ones broken", found.broken),
            ("Accuracy, before", found.before),
            ("Accuracy, after", found.after),
        )
        for name, rate in rates:
            if rate.tries:
                yield Figure(name=name, count=tried(rate), value=share(rate), interval=span(rate))
        gain = found.gain
        yield Figure(name="Net gain", value=f"{points(gain.value)} points", interval=reach(gain))
        return
    for name, score in (("Mean loss, before", course.before), ("Mean loss, after", course.after)):
        yield Figure(name=name, count="held-out part", value=_loss(score))


def _sections(report: RepairReport) -> Iterator[Section]:
    yield _attempts(
        "Attempts",
        "In order, each on a copy, measured on the selection part. One is kept if the finding is "
        "gone, no new error comes, and the loss falls.",
        report.course,
    )
    yield Section(title="Found before", items=tuple(map(_finding, report.found)))
    if report.course.left:
        yield Section(title="Left after", items=tuple(map(_finding, report.course.left)))
    if report.baseline is not None:
        yield _attempts(
            "Treatments at random",
            "As many, drawn at random from all; kept if the loss falls and no new error comes.",
            report.baseline,
        )
    rows = tuple(Row(cells=(p.name, f"{p.samples:,}", p.use)) for p in report.parts)
    yield Section(title="Split", table=Table(columns=_PARTS, rows=rows))
    if report.skipped:
        yield Section(title="Not possible here", items=report.skipped)
    if report.notes:
        yield Section(title="Notes", items=tuple(dict.fromkeys(report.notes)))
    times = ", ".join(f"{stage.name} {stage.seconds:,.2f} s" for stage in report.stages)
    digest = f"digest of the network as it was: {report.model.digest}"
    yield Section(title="Run", items=(digest, f"seed {report.seed}", f"time: {times}"))


def _finding(one: Finding) -> str:
    return f"{one.code} {one.severity.value} in {place(one)}: {one.message}"


def _attempts(title: str, lead: str, course: Course) -> Section:
    rows = tuple(map(_row, course.attempts))
    table = Table(columns=_COLUMNS, rows=rows, legend=_LEGEND) if rows else None
    items = tuple(text for one in course.attempts for text in _told(one))
    return Section(title=title, lead=lead, table=table, items=items)


def _row(one: Attempt) -> Row:
    scores = (one.before, one.after)
    rights = [score.right if score is not None else None for score in scores]
    cells = (
        str(one.number),
        one.code or "-",
        one.treatment,
        *map(_loss, scores),
        *("" if right is None else percent(right.value) for right in rights),
    )
    return Row(cells=cells, state="healthy" if one.kept else "unexamined")


def _told(one: Attempt) -> Iterator[str]:
    where = f" in {one.layer}" if one.layer else ""
    aim = f"{one.code}{where}" if one.code else "at random, or to see whether it does better"
    done = "; ".join(one.done) or "nothing but training"
    verdict = "kept" if one.kept else "not kept"
    yield f"{one.number} ({aim}): {done}. {verdict.capitalize()}: {one.reason}."
