"""Verdicts against counting one input after another; intervals against publications and truth."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial

from dnnrepair.data import ArraySamples
from dnnrepair.kinds import Kind
from dnnrepair.methods.method import Part
from dnnrepair.rate import Rate
from dnnrepair.risk import Risk
from dnnrepair.verdict import Verdict
from dnnrepair.verify import accepted, paired_gain, verify
from tests.judging import answered, valued

# label, answer before, answer after, named as target, named as protected, cost
inputs = st.tuples(
    *(st.integers(0, 2), st.integers(-1, 2), st.integers(-1, 2)),
    *(st.booleans(), st.booleans(), st.sampled_from([0.1, 0.2, 0.7, 3.0])),
)
counts = st.tuples(*[st.integers(0, 40)] * 4).filter(any)


def verdict_on(rows: list[Any]) -> Verdict:
    labels, was, now, targets, protected, cost = zip(*rows, strict=True)
    before, after = answered(labels, was), answered(labels, now)
    part = Part(
        samples=ArraySamples((torch.arange(len(rows)),), before.labels, "x"),
        correct=before.correct,
        targets=torch.tensor(targets) & ~before.correct,
        protected=torch.tensor(protected) & before.correct,
        cost=torch.tensor(cost),
    )
    return verify(before, after, part, "held-out")


@given(st.lists(inputs, min_size=1, max_size=40))
def test_a_verdict_counts_inputs(rows: list[Any]) -> None:
    found = verdict_on(rows)
    wrong = [r for r in rows if r[1] != r[0]]
    right = [r for r in rows if r[1] == r[0]]
    fixed, broken = ([r[2] == r[0] for r in wrong], [r[2] != r[0] for r in right])

    def rate(hits: list[bool], among: list[bool]) -> Rate:
        return Rate(sum(h and a for h, a in zip(hits, among, strict=True)), sum(among))

    assert (found.part, found.samples) == ("held-out", len(rows))
    assert found.targets == rate(fixed, [r[3] for r in wrong])
    assert found.others == rate(fixed, [not r[3] for r in wrong])
    assert found.broken == Rate(sum(broken), len(right))
    assert found.protected == rate(broken, [r[4] for r in right])
    assert found.before == Rate(len(right), len(rows))
    assert found.after == Rate(len(right) + sum(fixed) - sum(broken), len(rows))
    assert found.gain.value == pytest.approx((sum(fixed) - sum(broken)) / len(rows))
    assert found.cost_before == len(wrong)
    assert found.cost_after == sum(r[2] != r[0] for r in rows)


def test_costs_are_those_of_the_answers_that_are_given() -> None:
    risk = Risk(costs=((Kind(0, 1), 20.0),))
    before, after = answered([0] * 4, [1] * 4), answered([0] * 4, [1, 2, 2, 0])
    wrong = torch.ones(4, dtype=torch.bool)
    part = Part(
        samples=ArraySamples((torch.arange(4),), before.labels, "x"),
        correct=~wrong,
        targets=wrong,
        protected=~wrong,
        cost=torch.ones(4),
    )
    found = verify(before, after, part, "held-out", risk)
    assert (found.cost_before, found.cost_after) == (80.0, 22.0)


@given(st.lists(inputs, min_size=1, max_size=40))
def test_each_class_is_counted_and_the_class_it_lost_to_named(rows: list[Any]) -> None:
    changes = {change.label: change for change in verdict_on(rows).classes}
    assert set(changes) == {r[0] for r in rows}
    for label, change in changes.items():
        own = [r for r in rows if r[0] == label]
        broken = [r for r in own if r[1] == label != r[2]]
        assert change.total == len(own)
        assert change.before == sum(r[1] == label for r in own)
        assert change.after == sum(r[2] == label for r in own)
        assert change.fixed == sum(r[1] != label == r[2] for r in own)
        assert change.broken == len(broken)
        lost = Counter(r[2] for r in broken if r[2] >= 0)
        if change.lost_to is None:
            assert not lost
        else:
            assert lost[change.lost_to] == max(lost.values())


def test_without_classes_there_are_none() -> None:
    before, after = valued([False, True]), valued([True, True])
    ones = torch.ones(2)
    part = Part(
        samples=ArraySamples((ones,), ones, "x"),
        correct=before.correct,
        targets=~before.correct,
        protected=before.correct,
        cost=ones,
    )
    found = verify(before, after, part, "search")
    assert found.classes == ()
    assert found.targets == Rate(1, 1)


def test_what_costs_the_same_is_the_same_in_any_order() -> None:
    costs = np.random.default_rng(0).random(50).tolist()
    rows = [(0, 1, 0, True, True, cost) for cost in costs]
    rows += [(0, 0, 1, True, True, cost) for cost in sorted(costs)]
    found = verdict_on(rows)
    assert found.cost_before == found.cost_after


@pytest.mark.parametrize(
    ("cells", "low", "high", "digits"),
    [
        ((20, 12, 2, 16), 0.0562, 0.3292, 4),  # Newcombe (1998), Table II
        ((14, 5, 0, 22), 0.011, 0.226, 3),  # Altman et al. (2000), Statistics with confidence, 6.2
        ((1, 1, 7, 12), -0.507, -0.026, 3),  # Bentur et al. (2009) in Fagerland et al. (2014)
        ((59, 6, 16, 80), -0.1186, -0.0046, 4),  # Cavo et al. (2012) in Fagerland et al. (2017)
    ],
)
def test_intervals_are_those_that_were_published(
    cells: tuple[int, ...], low: float, high: float, digits: int
) -> None:
    kept, fixed, broken, _ = cells
    found = paired_gain(fixed, broken, kept, sum(cells))
    assert (round(found.low, digits), round(found.high, digits)) == (low, high)


@given(counts)
def test_limits_are_in_order_and_turn_round_with_the_change(cells: Any) -> None:
    kept, fixed, broken, _ = cells
    found = paired_gain(fixed, broken, kept, sum(cells))
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    back = paired_gain(broken, fixed, kept, sum(cells))
    assert (back.low, back.value, back.high) == pytest.approx(
        (-found.high, -found.value, -found.low)
    )
    wider = paired_gain(fixed, broken, kept, sum(cells), level=0.99)
    assert wider.low <= found.low
    assert wider.high >= found.high


@cache
def interval(fixed: int, broken: int, kept: int, count: int) -> tuple[float, float]:
    found = paired_gain(fixed, broken, kept, count)
    return found.low, found.high


TRUTHS = [  # shares of inputs that stay right, break, and are fixed
    *((0.9, 0.01, 0.02), (0.95, 0.002, 0.002), (0.7, 0.0, 0.1), (0.98, 0.0, 0.01)),
    *((0.3, 0.3, 0.05), (0.25, 0.25, 0.25), (0.0, 0.0, 0.02), (0.05, 0.9, 0.02)),
    *((0.5, 0.1, 0.1), (0.6, 0.001, 0.001), (0.0, 0.5, 0.5), (0.1, 0.05, 0.4)),
]


def coverage(cells: Any, chances: Any, truth: float) -> float:
    """Return how often the interval holds the truth, of tables with their chances."""
    limits = np.array([interval(f, b, k, k + b + f + w) for k, b, f, w in cells.tolist()])
    return float(chances[(limits[:, 0] <= truth) & (truth <= limits[:, 1])].sum())


@pytest.mark.parametrize("count", [5, 10, 20])
def test_the_truth_lies_inside_as_often_as_promised(count: int) -> None:
    cells = np.array([c for c in product(range(count + 1), repeat=4) if sum(c) == count])
    for kept, broken, fixed in TRUTHS:
        shares = [kept, broken, fixed, 1 - kept - broken - fixed]
        chances = multinomial.pmf(cells, count, np.maximum(shares, 0))
        assert chances.sum() == pytest.approx(1)
        assert coverage(cells, chances, fixed - broken) >= 0.93


@pytest.mark.parametrize("count", [60, 2000])
def test_so_it_does_of_more_inputs_drawn_again_and_again(count: int) -> None:
    rng = np.random.default_rng(count)
    for kept, broken, fixed in TRUTHS:
        shares = [kept, broken, fixed, max(0.0, 1 - kept - broken - fixed)]
        drawn = rng.multinomial(count, shares, size=3000)
        cells, times = np.unique(drawn, axis=0, return_counts=True)
        assert coverage(cells, times / 3000, fixed - broken) >= 0.93


def judged(**given: Any) -> Any:
    chosen = {"targets": Rate(3, 9), "broken": Rate(2, 400), "cost_before": 9.0, "cost_after": 8.0}
    return SimpleNamespace(**{**chosen, **given})


def test_a_change_is_taken_if_it_fixes_targets_within_the_limit_at_a_lower_cost() -> None:
    assert accepted(judged(), None, 400)[0]
    assert accepted(judged(), 0.05, 400)[0]
    assert accepted(judged(broken=Rate(0, 4000)), 0.005, 400)[0]


@pytest.mark.parametrize(
    ("given_", "limit", "words"),
    [
        ({"targets": Rate(0, 9)}, None, "fixes none of the inputs that were to be fixed"),
        ({"targets": Rate(0, 0)}, None, "fixes none"),
        ({}, 0.004, "breaks 2/400 (0.5 %) of what was right, more than 0.4 %"),
        ({}, 0.005, "too many to be sure of at most 0.5 % of other data"),
        ({"broken": Rate(0, 0)}, 0.0, "to be sure"),
        ({"broken": Rate(0, 400)}, 0.005, "to be sure"),
        ({"cost_after": 9.0}, None, "breaks as much as it fixes, or more"),
        ({"cost_after": 9.1}, None, "breaks as much as it fixes, or more"),
    ],
)
def test_any_other_change_is_not_and_the_reason_said(
    given_: dict[str, Any], limit: float | None, words: str
) -> None:
    taken, reason = accepted(judged(**given_), limit, 400)
    assert not taken
    assert words in reason
