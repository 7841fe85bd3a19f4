"""What a repair came to, in sentences that name the harm beside the benefit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.document import Figure
from dnnrepair.formats.shares import percent, points, price, reach, share, span, tried
from dnnrepair.formats.words import counted
from dnnrepair.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.patch_report import PatchReport, Point
    from dnnrepair.verdict import ClassChange, Verdict

NOTHING = "No change was accepted, and nothing was written"


def headline(report: PatchReport) -> str:
    """Return the outcome in a few words."""
    chosen = report.chosen
    early = "Interrupted: " if report.interrupted else ""
    if chosen is None or not report.accepted:
        return f"{early}{NOTHING if not early else NOTHING.lower()}"
    found = chosen.held_out
    fixed = f"ixed {tried(found.targets)} targets, broke {tried(found.broken)} right inputs"
    return f"{early}{'f' if early else 'F'}{fixed}"


def state(report: PatchReport) -> str:
    """Return what the outcome is worth on the held-out part, as a state of a layer is named."""
    chosen = report.chosen
    if chosen is None or not report.accepted:
        return "error"
    gain = chosen.held_out.gain
    if gain.value < 0 or not chosen.held_out.targets.hits:
        return "warning"
    return "healthy" if gain.low >= 0 and not report.interrupted else "note"


def sentences(report: PatchReport) -> Iterator[str]:
    """Yield the outcome, a sentence each, the most important first."""
    chosen = report.chosen
    if report.interrupted:
        yield "The search was cut short; this is what was found until then."
    if chosen is None or not report.accepted:
        yield f"Reason: {_said(report.reason)}."
        if chosen is None:
            return
    yield judged(chosen.held_out)
    yield from _doubts(chosen.held_out)
    yield from _payer(chosen.held_out)
    if report.accepted:
        yield f"Accepted: {_named(chosen)}; {_said(report.reason)}."
    yield _selected(chosen)
    yield f"Written to {chosen.patch}." if chosen.patch else "No patch file was written."


def judged(verdict: Verdict) -> str:
    """Return what a change did, in one sentence: benefit, harm, and both together."""
    before, after = verdict.before, verdict.after
    gained = reach(verdict.gain)
    return (
        f"On {_part(verdict)}, against the untouched network, it fixed "
        f"{_counted(verdict.targets, 'targets')}; "
        f"broke {_counted(verdict.broken, 'that were right')}; "
        f"accuracy {percent(before.value)} → {share(after)} ({points(verdict.gain.value)} points"
        f"{f', paired 95 % interval {gained}' if gained else ''})."
    )


def weighed(verdict: Verdict) -> bool:
    """Whether errors cost differently, so that costs say more than counts."""
    wrong_before = verdict.before.tries - verdict.before.hits
    wrong_after = verdict.after.tries - verdict.after.hits
    return (verdict.cost_before, verdict.cost_after) != (wrong_before, wrong_after)


def cost(verdict: Verdict) -> str:
    """Return what the wrong answers cost before and after."""
    return f"{price(verdict.cost_before)} → {price(verdict.cost_after)}"


def figures(verdict: Verdict) -> Iterator[Figure]:
    """Yield the numbers behind a verdict."""
    named = (
        ("Targets fixed", verdict.targets),
        ("Right ones broken", verdict.broken),
        ("Protected ones broken", verdict.protected),
        ("Other errors fixed", verdict.others),
        ("Accuracy, untouched", verdict.before),
        ("Accuracy, repaired", verdict.after),
    )
    for name, rate in named:
        told = name.startswith("Protected") and rate == verdict.broken  # all are protected
        if rate.tries and not told:
            yield Figure(name=name, count=tried(rate), value=share(rate), interval=span(rate))
    gain = points(verdict.gain.value)
    yield Figure(name="Net gain", value=f"{gain} points", interval=reach(verdict.gain))


def _part(verdict: Verdict) -> str:
    plain = verdict.part in ("held-out", "")
    return "the held-out part" if plain else f"the held-out part ({verdict.part})"


def _counted(rate: Rate, what: str) -> str:
    if not rate.tries:
        return f"none of 0 {what}"
    return f"{tried(rate)} {what} ({share(rate)}, 95 % interval {span(rate)})"


def _doubts(verdict: Verdict) -> Iterator[str]:
    """Yield what keeps the outcome from being a plain success."""
    gain = verdict.gain
    if gain.value < 0:
        yield "It loses accuracy there: it broke more than it fixed."
    elif gain.low < 0:
        yield "The change in accuracy may be chance: its interval reaches below 0."
    if verdict.targets.tries and not verdict.targets.hits:
        yield "It fixed none of the targets there."


def _payer(verdict: Verdict) -> Iterator[str]:
    """Yield which class pays most, because a repair often only moves a boundary."""
    worst = min(verdict.classes, key=_change, default=None)
    if worst is None:
        return
    if _change(worst) >= 0:
        yield "No class gets worse."
        return
    before, after = Rate(worst.before, worst.total), Rate(worst.after, worst.total)
    taken = "" if worst.lost_to is None else f", mostly taken for class {worst.lost_to}"
    yield (
        f"Class {worst.label} pays most: {counted(worst.broken, 'right input')} broke{taken}; "
        f"its accuracy {percent(before.value)} → {share(after)}."
    )


def _change(one: ClassChange) -> float:
    return (one.after - one.before) / max(one.total, 1)


def _named(point: Point) -> str:
    name = f"{point.method}, {point.name}" if point.name else point.method
    return f"{name}, which changes {counted(point.numbers, 'number')}"


def _selected(point: Point) -> str:
    found = point.selection
    return (
        f"On the selection part, which chose, it fixed {tried(found.targets)} targets and broke "
        f"{tried(found.broken)} that were right ({points(found.gain.value)} points)."
    )


def _said(reason: str) -> str:
    return reason.rstrip(".") or "no reason was given"
