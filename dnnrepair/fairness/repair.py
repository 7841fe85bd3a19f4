"""A fairness repair: search on one part, choose on another, judge once on a third."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError
from dnnrepair.fairness.choice import BUDGETS, Judged, Jury, front
from dnnrepair.fairness.descent import Descent
from dnnrepair.fairness.evolution import Evolution, places_of
from dnnrepair.fairness.trial import Trial
from dnnrepair.methods.reach import behind
from dnnrepair.observation import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.fairness.candidate import Candidate
    from dnnrepair.fairness.case import Case
    from dnnrepair.subject import Subject

SEARCHES = ("descent", "evolution", "both")
_CHANGEABLE = (Role.WEIGHT, Role.RECURRENT, Role.BIAS, Role.EMBEDDING, Role.SCALE, Role.SHIFT)


@dataclass(frozen=True, kw_only=True, eq=False)
class Named:
    """The best candidate for a budget of accuracy.

    Attributes:
        budget: accuracy that may be lost; NaN for a point of the front.
        select: what it does to the rows that select.
        chosen: it is the one taken.
    """

    budget: float
    select: Judged
    chosen: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Repaired:
    """What a search has found.

    Attributes:
        before: the untouched network on the rows that select.
        chosen: the candidate taken, None if none is.
        points: budgets and the front.
        tried: how many candidates there were.
        seconds: of wall clock, of the search.
        history: the smallest gap on the rows that select that was found so far, by candidate.
        reason: why this one, or why none.
    """

    before: Judged
    chosen: Judged | None
    points: tuple[Named, ...]
    tried: int
    seconds: float
    history: tuple[float, ...]
    reason: str


def changeable(subject: Subject, layers: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the tensors that may change.

    Args:
        subject: the network.
        layers: "auto" for all behind the last convolution, recurrent or attention layer; "all",
            "last", or names of layers or tensors.

    Raises:
        SettingError: there is no layer of that name.
    """
    infos = {
        name: info
        for name, info in subject.infos.items()
        if info.role in _CHANGEABLE and not info.buffer and subject.running.reads(name)
    }
    kernels = [name for name, info in infos.items() if info.role is Role.WEIGHT]
    if layers == "all":
        return tuple(infos)
    if layers in ("auto", "last"):
        reached = behind(subject) if layers == "auto" else ()
        wanted = {infos[name].layer for name in reached if name in infos} or {
            infos[name].layer for name in kernels[-1:]
        }
    else:
        wanted = set(layers)
        known = {info.layer for info in infos.values()} | set(infos)
        for name in wanted - known:
            message = f"no layer is called {name!r}; known: {', '.join(sorted(known))}"
            raise SettingError(message)
    return tuple(name for name, info in infos.items() if {info.layer, name} & wanted)


def repaired(
    case: Case,
    how: str = "descent",
    descent: Descent | None = None,
    evolution: Evolution | None = None,
) -> Repaired:
    """Search, and choose by the rows that select.

    Args:
        case: what is to be made fair.
        how: one of :data:`SEARCHES`.
        descent: how to descend.
        evolution: how to evolve.

    Raises:
        DnnRepairError: the search cannot work on this case.
    """
    began = time.monotonic()
    trial = Trial.of(case)
    jury = trial.jury
    found: list[Judged] = []
    history: list[float] = []

    def take(candidates: Iterator[Candidate] | list[Candidate]) -> None:
        for candidate in candidates:
            for one in trial.judge(candidate):
                found.append(one)
                least = one.gap if not one.violation else jury.before.gap
                history.append(min(least, history[-1] if history else jury.before.gap))

    descent, evolution = descent or Descent(), evolution or Evolution()
    if how in ("descent", "both"):
        take(descent.candidates(case))
    if how == "both" and case.disparity.rates:
        start = jury.choose(found)
        begun = start.candidate.tensors if start and start.candidate else None
        take(evolution.proposed(case, places_of(case), begun, "descent"))
    if how == "evolution":
        take(evolution.proposed(case, places_of(case)))
    chosen, reason = _accepted(jury, found)
    named = _points(case, jury, found, chosen)
    return Repaired(
        before=jury.before,
        chosen=chosen,
        points=named,
        tried=len(found),
        seconds=time.monotonic() - began,
        history=tuple(history),
        reason=reason,
    )


def _accepted(jury: Jury, found: list[Judged]) -> tuple[Judged | None, str]:
    """Return the candidate to take, if it gains beyond doubt."""
    best = jury.choose(found)
    if best is None:
        return None, _why_not(jury, found)
    if jury.gain(best) <= 0:
        return None, (
            f"the best candidate narrows the gap from {jury.before.gap:.3f} to {best.gap:.3f} "
            "on the rows that select, which may be chance (95 % confidence is asked for, by these "
            "rows and those that repair)"
        )
    return best, (
        "of the candidates that keep the limits on the rows that select, it has the smallest gap "
        "to expect by these rows and those that repair"
    )


def _why_not(jury: Jury, found: list[Judged]) -> str:
    if not found:
        return "the search found nothing"
    fairest = min(found, key=lambda one: one.gap)
    decisions = fairest.table.sum((0, 1))
    if fairest.gap < jury.before.gap and not decisions.all():
        return "DEGENERATE: candidates are fair only by deciding the same for everybody"
    if any(not one.violation for one in found):
        return "no candidate narrows the gap on the rows that select"
    return (
        f"no candidate keeps the limits on the rows that select; the fairest has a gap of "
        f"{fairest.gap:.3f} (it was {jury.before.gap:.3f}), accuracy {fairest.accuracy:.3f} (was "
        f"{jury.before.accuracy:.3f}), F1 {fairest.f1:.3f} (was {jury.before.f1:.3f})"
    )


def _points(
    case: Case, jury: Jury, found: list[Judged], chosen: Judged | None
) -> tuple[Named, ...]:
    """Return the best for each budget, then the front."""
    named = []
    for budget in BUDGETS:
        best = jury.choose(found, budget)
        if best is not None and budget <= case.limits.max_acc_drop:
            named.append(Named(budget=budget, select=best, chosen=False))
    kept = [one for one in found if not one.violation]
    others = list(front(kept))
    if chosen is not None and chosen not in others:
        others.append(chosen)
    rest = [Named(budget=float("nan"), select=one, chosen=one is chosen) for one in others]
    return tuple(chain(named, rest))
