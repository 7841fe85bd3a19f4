"""Which of the proposed changes is taken, by what they do to the selection part alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.verify import accepted, paired_gain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.verdict import Verdict

LEVEL = 0.9  # of an interval whose lower end holds with 95 % confidence


def choose(
    verdicts: Sequence[Verdict], max_broken: float | None, unseen: int
) -> tuple[int | None, str]:
    """Return the change to take, None for none of them, and in words why.

    Of those that beat the untouched network the one that fixes most targets, provided that it gains
    accuracy with 95 % confidence: the boldest of many that seem to gain a little would lose on
    other data. If none does, the one that gains most.

    Args:
        verdicts: of the proposals on the selection part.
        max_broken: share of the right inputs that may break, None for no limit.
        unseen: for how many other inputs that are right that is to hold.
    """
    judged = [accepted(verdict, max_broken, unseen) for verdict in verdicts]
    good = [place for place, (yes, _) in enumerate(judged) if yes]
    if not good:
        return None, _why_none(judged)
    sure = [place for place in good if _gains(verdicts[place])]
    if sure:
        best = max(sure, key=lambda i: (verdicts[i].targets.hits, verdicts[i].gain.value))
        return (
            best,
            "of those that gain with 95 % confidence on the selection part it fixes most targets",
        )
    best = max(good, key=lambda i: (_saved(verdicts[i]), verdicts[i].targets.hits))
    return best, "of those that do not lose on the selection part it gains most"


def _gains(verdict: Verdict) -> bool:
    fixed = verdict.targets.hits + verdict.others.hits
    broken = verdict.broken.hits
    kept = verdict.before.hits - broken
    return paired_gain(fixed, broken, kept, verdict.samples, LEVEL).low >= 0


def _saved(verdict: Verdict) -> float:
    return verdict.cost_before - verdict.cost_after


def _why_none(judged: Sequence[tuple[bool, str]]) -> str:
    if not judged:
        return "nothing was proposed"
    reasons = [reason for _, reason in judged]
    return f"no change beats the untouched network on the selection part: {reasons[0]}"
