"""Intervals hold their level in simulation, and agree with other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact

from dnnrepair.fairness.counts import confusion
from dnnrepair.fairness.intervals import holm, newcombe, same_share, wilson
from dnnrepair.fairness.metric import named, value
from dnnrepair.fairness.resampling import Counts, Rows
from dnnrepair.fairness.sureness import Sure, sureness


def table_of(selected: Any, sizes: Any) -> Any:
    """Tables ``(groups, 2, 2)`` from how many of (negatives, positives) are selected."""
    hits, tries = np.array(selected, float), np.array(sizes, float)
    return np.stack([tries - hits, hits], axis=-1)


def sure(name: str, table: Any, seed: int = 0, draws: int = 400) -> Sure:
    metric = named(name)
    known = np.ones((len(metric.rates), len(table)), dtype=bool)
    rng = np.random.default_rng(seed)
    return sureness(metric, Counts(table), known, np.ones(len(table)), rng, draws=draws)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.05, 0.01]))
def test_wilson_is_scipys(tries: int, share: float, alpha: float) -> None:
    hits = round(tries * share)
    expected = binomtest(hits, tries).proportion_ci(1 - alpha, method="wilson")
    low, high = wilson(np.array(float(hits)), np.array(float(tries)), alpha)
    assert (float(low), float(high)) == pytest.approx(tuple(expected), abs=1e-12)


def test_newcombe_gives_the_published_example() -> None:
    """Newcombe 1998, table II: contrasts (a) 56/70 less 48/80 and (b) 9/10 less 3/10."""
    pair = [np.array([56.0, 9.0]), np.array([48.0, 3.0])]
    tries = [np.array([70.0, 10.0]), np.array([80.0, 10.0])]
    low, high = newcombe((pair[0], pair[1]), (tries[0], tries[1]))
    np.testing.assert_allclose(low, [0.0524, 0.1705], atol=5e-5)
    np.testing.assert_allclose(high, [0.3339, 0.8090], atol=5e-5)


@pytest.mark.parametrize(("rates", "sizes"), [((0.3, 0.4), (400, 150)), ((0.02, 0.1), (60, 40))])
def test_signed_differences_are_covered(rates: Any, sizes: Any) -> None:
    rng = np.random.default_rng(7)
    hits = rng.binomial(sizes, rates, size=(2000, 2)).astype(float)
    tries = np.broadcast_to(np.array(sizes, float), hits.shape)
    low, high = newcombe((hits[:, 0], hits[:, 1]), (tries[:, 0], tries[:, 1]))
    true = rates[0] - rates[1]
    assert ((low <= true) & (true <= high)).mean() >= 0.93


@pytest.mark.parametrize(
    ("name", "selected", "size"),
    [("dp", (0.3, 0.4), 400), ("eodds", (0.3, 0.3, 0.3, 0.3), 200), ("di", (0.3, 0.45), 400),
     ("dp", (0.1, 0.1, 0.1), 35), ("accgap", (0.2, 0.35), 60), ("worst", (0.3, 0.4), 200)],
)  # fmt: skip
def test_gaps_are_covered(name: str, selected: tuple[float, ...], size: int) -> None:
    rng = np.random.default_rng(11)
    rates = np.array([selected, selected]).T
    sizes = np.full_like(rates, size, dtype=int)
    ideal = table_of(rates, np.ones(rates.shape))
    true = float(value(named(name), ideal))
    hits = 0
    runs = 100
    for run in range(runs):
        found = sure(name, table_of(rng.binomial(sizes, rates), sizes), seed=run)
        hits += found.low <= true <= found.high
    assert hits >= 0.93 * runs


def test_equal_groups_show_the_known_noise() -> None:
    """Four groups of 300 or of 30 with 30 % each: E[gap] is 0.054 and 0.171."""
    for size, expected in ((300, 0.054), (30, 0.171)):
        half = size // 2
        table = table_of([[0.3 * half] * 2] * 4, [[half] * 2] * 4)
        assert sure("dp", table).noise_floor == pytest.approx(expected, abs=0.006)


def test_noise_is_not_taken_for_a_gap() -> None:
    """At exact parity of 4 groups of 30, the interval holds 0 and no limit of 0.1 is failed."""
    rng = np.random.default_rng(5)
    failed = 0
    for run in range(60):
        table = table_of(rng.binomial(15, 0.3, (4, 2)), [[15, 15]] * 4)
        failed += sure("dp", table, seed=run).low > 0
    assert failed <= 3


def test_drawing_counts_is_drawing_rows() -> None:
    rng = np.random.default_rng(0)
    groups, labels, predictions = rng.integers(0, 2, (3, 300))
    table = confusion(groups, labels, predictions, group_count=2)

    def tabulate(times: Any) -> Any:
        return confusion(groups, labels, predictions, group_count=2, weights=times)

    spread = []
    for source in (Counts(table), Rows(table, tabulate, 300)):
        drawn = np.concatenate(list(source.draws(3000, np.random.default_rng(1))))
        assert (drawn.sum(axis=(1, 2, 3)) == 300).all()
        spread.append(drawn.std(axis=0))
        np.testing.assert_allclose(drawn.mean(axis=0), table, atol=0.6)
    np.testing.assert_allclose(spread[0], spread[1], rtol=0.08)


def test_p_values_are_fishers_where_few_and_adjusted_by_holm() -> None:
    expected = float(fisher_exact(np.array([[3, 7], [9, 1]])).pvalue)
    assert same_share((3, 9), (10, 10)) == pytest.approx(expected)
    assert same_share((300, 300), (1000, 1000)) == pytest.approx(1)
    assert same_share((300, 400), (1000, 1000)) < 1e-5
    assert np.isnan(same_share((0, 3), (0, 10)))
    assert holm([0.02, 0.02, 0.5]) == pytest.approx([0.06, 0.06, 0.5])


def test_the_same_seed_gives_the_same_interval() -> None:
    table = table_of([[30, 60], [50, 90]], [[200, 120], [210, 180]])
    assert sure("eodds", table, seed=3) == sure("eodds", table, seed=3)
    assert sure("eodds", table, seed=3) != sure("eodds", table, seed=4)
