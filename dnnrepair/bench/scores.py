"""From outcomes to recall, false alarms and cross-fires, each with its interval."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.bench.cases import FAULT, HEALTHY, LOOKALIKE
from dnnrepair.finding import Severity
from dnnrepair.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.bench.cases import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleScore:
    """How one rule did.

    Attributes:
        code: of the rule.
        recall: by strength of the planted fault.
        false_warnings: alarms of WARNING or worse per healthy or look-alike network.
        false_errors: of ERROR.
        crossfires: root alarms on networks with another rule's fault, of WARNING or worse, that
            the fault does not list among its accepted consequences.
    """

    code: str
    recall: dict[str, Rate]
    false_warnings: Rate
    false_errors: Rate
    crossfires: Rate


def score_rules(outcomes: Sequence[Outcome], codes: Sequence[str]) -> tuple[RuleScore, ...]:
    """Return a score per rule, in the order of ``codes``."""
    return tuple(_score(code, outcomes) for code in codes)


def recall(outcomes: Sequence[Outcome], *strengths: str) -> Rate:
    """Return the share of faults of these strengths that were found."""
    planted = [o for o in outcomes if o.case.kind == FAULT and o.case.strength in strengths]
    return Rate(sum(o.found for o in planted), len(planted))


def false_alarms(outcomes: Sequence[Outcome], least: Severity) -> Rate:
    """Return the share of unharmed networks with an alarm at least this severe."""
    unharmed = [o for o in outcomes if o.case.kind in (HEALTHY, LOOKALIKE)]
    return Rate(sum(bool(o.alarms(least)) for o in unharmed), len(unharmed))


def alarms_on(outcomes: Sequence[Outcome], least: Severity) -> Counter[tuple[str, str, str]]:
    """Return how often each rule raised a false alarm, by network and change."""
    return Counter(
        (code, o.case.network, o.case.change)
        for o in outcomes
        if o.case.kind in (HEALTHY, LOOKALIKE)
        for code in o.alarms(least)
    )


def misses(outcomes: Sequence[Outcome]) -> Counter[tuple[str, str, str]]:
    """Return how often each fault was missed, by network and strength."""
    return Counter(
        (o.case.change, o.case.network, o.case.strength)
        for o in outcomes
        if o.case.kind == FAULT and not o.found
    )


def _score(code: str, outcomes: Sequence[Outcome]) -> RuleScore:
    own = [o for o in outcomes if o.case.kind == FAULT and code in o.case.codes]
    unharmed = [o for o in outcomes if o.case.kind in (HEALTHY, LOOKALIKE)]
    others = [o for o in outcomes if o.case.kind == FAULT and code not in o.case.codes | o.case.may]
    strengths = dict.fromkeys(o.case.strength for o in own)
    return RuleScore(
        code=code,
        recall={
            s: Rate(
                sum(_said(o, code) for o in own if o.case.strength == s),
                sum(o.case.strength == s for o in own),
            )
            for s in strengths
        },
        false_warnings=_fired(unharmed, code, Severity.WARNING),
        false_errors=_fired(unharmed, code, Severity.ERROR),
        crossfires=_fired(others, code, Severity.WARNING),
    )


def _said(outcome: Outcome, code: str) -> bool:
    """Whether the rule itself spoke; a fault with several codes counts for those that did."""
    said = {found for found, _ in (*outcome.roots, *outcome.consequences)}
    return code in said or (outcome.found and len(outcome.case.codes) > 1)


def _fired(outcomes: Sequence[Outcome], code: str, least: Severity) -> Rate:
    return Rate(sum(code in o.alarms(least) for o in outcomes), len(outcomes))
