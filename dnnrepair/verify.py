"""What a change did, counted on inputs, and whether it is worth taking."""

from __future__ import annotations

from math import fsum, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from scipy.stats import betabinom

from dnnrepair.rate import Rate
from dnnrepair.risk import Risk
from dnnrepair.verdict import ClassChange, Interval, Verdict

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.answers import Answers
    from dnnrepair.methods.method import Part


SURE = 0.95  # confidence that a limit holds on other data


def verify(
    before: Answers, after: Answers, part: Part, name: str, risk: Risk | None = None
) -> Verdict:
    """Return what a change did to one part of the data.

    Args:
        before: of the untouched network.
        after: of the changed one, to the same inputs.
        part: which of these were to be fixed, and which to be kept.
        name: of the part.
        risk: what errors cost; 1 each if None.
    """
    risk = risk or Risk()
    was, now = before.correct, after.correct
    fixed, broken = ~was & now, was & ~now
    return Verdict(
        part=name,
        samples=len(was),
        targets=_rate(fixed, part.targets),
        broken=_rate(broken, was),
        protected=_rate(broken, part.protected),
        others=_rate(fixed, ~was & ~part.targets),
        before=Rate(int(was.sum()), len(was)),
        after=Rate(int(now.sum()), len(now)),
        gain=paired_gain(int(fixed.sum()), int(broken.sum()), int((was & now).sum()), len(was)),
        cost_before=_sum(risk.of(before)[~was]),
        cost_after=_sum(risk.of(after)[~now]),
        classes=_classes(before, after),
    )


def paired_gain(fixed: int, broken: int, kept: int, count: int, level: float = 0.95) -> Interval:
    """Return the change of accuracy with its interval, of answers to the same inputs.

    Newcombe, Statistics in Medicine 17 (1998), method 10: Wilson's intervals of both shares,
    squared and added, with the correlation of the two.

    Args:
        fixed: inputs that were wrong and are right.
        broken: inputs that were right and are wrong.
        kept: inputs that were and are right.
        count: all inputs, at least 1.
        level: of confidence.
    """
    after, before = kept + fixed, kept + broken
    low1, high1 = _wilson(after, count, level)
    low2, high2 = _wilson(before, count, level)
    share1, share2 = after / count, before / count
    gain = (fixed - broken) / count
    related = _correlation(fixed, broken, kept, count)

    def reach(a: float, b: float) -> float:
        return sqrt(max(a * a - 2 * related * a * b + b * b, 0.0))

    low = gain - reach(share1 - low1, high2 - share2)
    high = gain + reach(share2 - low2, high1 - share1)
    return Interval(value=gain, low=max(low, -1.0), high=min(high, 1.0))


def accepted(verdict: Verdict, max_broken: float | None, unseen: int) -> tuple[bool, str]:
    """Return whether a change beats the untouched network, and in words why.

    It does if it fixes targets, what it fixes costs more than what it breaks, and, where there is
    a limit, what it will break of other data stays within that with 95 % confidence: the chance of
    this many among ``unseen`` is beta-binomial given those that it broke here, with one more taken
    to be sure, as in the one-sided interval of Clopper and Pearson (1934).

    Args:
        verdict: on inputs to which the change was not fitted.
        max_broken: share of the right inputs that may break, None for no limit.
        unseen: for how many other inputs that are right the limit is to hold.
    """
    if verdict.targets.hits == 0:
        return False, "it fixes none of the inputs that were to be fixed"
    if max_broken is not None and not _keeps(verdict.broken, max_broken, unseen):
        limit = f"{100 * max_broken:g} %"
        if verdict.broken.value > max_broken:
            return False, f"it breaks {verdict.broken} of what was right, more than {limit}"
        return False, (
            f"it breaks {verdict.broken} of what was right, too many to be sure of at most {limit} "
            "of other data"
        )
    if verdict.cost_after >= verdict.cost_before:
        return False, "it breaks as much as it fixes, or more"
    return True, "it fixes more than it breaks, targets among it"


def _keeps(broken: Rate, limit: float, unseen: int) -> bool:
    """Tell whether so many others will keep a limit, with 95 % confidence."""
    most = int(limit * unseen + 1e-9)
    kept = broken.tries - broken.hits
    return kept > 0 and bool(betabinom.cdf(most, unseen, broken.hits + 1, kept) >= SURE)


def _rate(hit: Tensor, among: Tensor) -> Rate:
    return Rate(int((hit & among).sum()), int(among.sum()))


def _sum(costs: Tensor) -> float:
    """Return an exact sum: what costs the same must not differ by the order of inputs."""
    return fsum(costs.tolist())


def _classes(before: Answers, after: Answers) -> tuple[ClassChange, ...]:
    if before.labels is None or after.predicted is None:
        return ()
    return tuple(_class_change(int(label), before, after) for label in torch.unique(before.labels))


def _class_change(label: int, before: Answers, after: Answers) -> ClassChange:
    assert before.labels is not None  # of answers with classes  # noqa: S101
    assert after.predicted is not None  # noqa: S101
    own = before.labels == label
    was, now = before.correct & own, after.correct & own
    broken = was & ~now
    lost = after.predicted[broken & ~after.undefined]
    return ClassChange(
        label=label,
        total=int(own.sum()),
        before=int(was.sum()),
        after=int(now.sum()),
        fixed=int((now & ~was).sum()),
        broken=int(broken.sum()),
        lost_to=int(lost.mode().values) if len(lost) else None,
    )


def _wilson(hits: int, tries: int, level: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    middle = (hits + z * z / 2) / (tries + z * z)
    half = z * sqrt(hits * (tries - hits) / tries + z * z / 4) / (tries + z * z)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _correlation(fixed: int, broken: int, kept: int, count: int) -> float:
    """Return the correlation of the answers, corrected for continuity as Newcombe has it."""
    wrong = count - fixed - broken - kept
    margins = (kept + fixed) * (broken + wrong) * (kept + broken) * (fixed + wrong)
    if margins == 0:
        return 0.0
    product = float(kept * wrong - fixed * broken)
    if product > 0:
        product = max(product - count / 2, 0.0)
    return product / sqrt(margins)
