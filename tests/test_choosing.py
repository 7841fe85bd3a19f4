"""The change that is taken, against every other that could have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from dnnrepair.choosing import choose
from dnnrepair.rate import Rate
from dnnrepair.verdict import Interval, Verdict
from dnnrepair.verify import accepted, paired_gain

if TYPE_CHECKING:
    from collections.abc import Sequence

RIGHT, TARGETS, OTHERS = 80, 10, 10
TOTAL = RIGHT + TARGETS + OTHERS


def verdict(
    fixed: int, others: int, broken: int, *, saved: float | None = None, right: int = RIGHT
) -> Verdict:
    """Return what is said of a change that fixes and breaks so many; errors cost 1 each."""
    total = right + TARGETS + OTHERS
    kept = right - broken
    wrong = float(TARGETS + OTHERS)
    return Verdict(
        part="selection",
        samples=total,
        targets=Rate(fixed, TARGETS),
        broken=Rate(broken, right),
        protected=Rate(broken, right),
        others=Rate(others, OTHERS),
        before=Rate(right, total),
        after=Rate(kept + fixed + others, total),
        gain=paired_gain(fixed + others, broken, kept, total),
        cost_before=wrong,
        cost_after=wrong - (fixed + others - broken if saved is None else saved),
    )


def sure(one: Verdict) -> bool:
    """Tell whether accuracy rises with 95 % confidence: the lower end of a 90 % interval."""
    fixed, broken = one.targets.hits + one.others.hits, one.broken.hits
    found = paired_gain(fixed, broken, RIGHT - broken, TOTAL, 0.9)
    return found.low >= 0


def by_hand(table: Sequence[Verdict], limit: float | None) -> set[int]:
    """Return the changes that none outdoes, by comparing each with each."""
    good = {i for i, one in enumerate(table) if accepted(one, limit, 100)[0]}
    certain = {i for i in good if sure(table[i])}

    def worth(i: int) -> tuple[float, float]:
        one = table[i]
        saved = one.cost_before - one.cost_after
        return (
            (one.targets.hits, one.gain.value) if i in certain else (saved, one.targets.hits)
        )

    left = certain or good
    return {i for i in left if not any(worth(j) > worth(i) for j in left)}


tables = st.lists(
    st.builds(verdict, st.integers(0, 10), st.integers(0, 5), st.integers(0, 15)), max_size=6
)


@given(tables, st.sampled_from([None, 0.0, 0.05, 0.5]))
def test_no_other_change_is_better(table: list[Verdict], limit: float | None) -> None:
    place, reason = choose(table, limit, 100)
    best = by_hand(table, limit)
    if place is None:
        assert best == set()
        assert "no change beats" in reason or reason == "nothing was proposed"
    else:
        assert place == min(best)  # the gentlest of several that are as good


def test_the_boldest_of_those_that_surely_gain_is_taken() -> None:
    table = [verdict(3, 0, 0), verdict(6, 0, 0), verdict(10, 0, 9)]
    assert sure(table[1])
    assert not sure(table[2])
    place, reason = choose(table, None, 100)
    assert place == 1
    assert "95 % confidence" in reason


def test_where_nothing_surely_gains_the_largest_gain_is_taken() -> None:
    table = [verdict(1, 0, 0), verdict(4, 0, 2), verdict(5, 0, 4)]
    assert not any(map(sure, table))
    assert choose(table, None, 100)[0] == 1


def test_costs_outweigh_counts() -> None:
    table = [verdict(2, 0, 3, saved=7.0), verdict(2, 0, 1, saved=-1.0)]
    assert choose(table, None, 100)[0] == 0


def test_why_nothing_is_taken_is_said() -> None:
    assert choose([], None, 100) == (None, "nothing was proposed")
    place, reason = choose([verdict(0, 3, 0)], None, 100)
    assert place is None
    assert "fixes none of the inputs that were to be fixed" in reason
    place, reason = choose([verdict(2, 0, 2)], None, 100)
    assert place is None
    assert "breaks as much as it fixes" in reason
    place, reason = choose([verdict(9, 0, 8)], 0.05, 100)
    assert place is None
    assert "more than 5 %" in reason


def broken_in(broken: int, right: int) -> Verdict:
    """Return a verdict that is in order but for what breaks."""
    one = verdict(5, 5, broken, saved=1.0, right=right)
    assert isinstance(one.gain, Interval)
    return one


@pytest.mark.parametrize(("limit", "seen"), [(0.005, 600), (0.005, 2000), (0.02, 300), (0.1, 60)])
@pytest.mark.parametrize("unseen", [150, 1000, 4000])
def test_the_limit_holds_in_95_of_100_runs_however_often_it_breaks(
    limit: float, seen: int, unseen: int
) -> None:
    most = next(
        (n for n in range(seen) if not accepted(broken_in(n, seen), limit, unseen)[0]), seen
    )
    rates = np.linspace(0, 3 * limit, 200)
    taken = binom.cdf(most - 1, seen, rates)  # so rarely it breaks here that it is taken
    exceeds = binom.sf(int(limit * unseen + 1e-9), unseen, rates)
    assert float((taken * exceeds).max()) <= 0.05


def test_what_breaks_rarely_enough_is_taken_in_spite_of_a_limit() -> None:
    assert accepted(broken_in(0, 4000), 0.005, 4000)[0]
    assert accepted(broken_in(4, 4000), 0.005, 4000)[0]
    assert not accepted(broken_in(20, 4000), 0.005, 4000)[0]
    yes, reason = accepted(broken_in(0, 60), 0.005, 4000)
    assert not yes
    assert "too many to be sure" in reason
