"""Metrics against other ways of computing them: fairlearn, and sums written out by hand."""

from __future__ import annotations

from importlib import import_module
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from dnnrepair.errors import UnknownNameError
from dnnrepair.fairness.counts import calibration, confusion, one_vs_rest, paired_confusion
from dnnrepair.fairness.metric import metrics, named, value
from dnnrepair.fairness.rates import rate

reference: Any = import_module("fairlearn.metrics")  # it makes some of its functions as it loads

EXACT = 1e-12
PEERS = {
    "demographic_parity_difference": reference.demographic_parity_difference,
    "demographic_parity_ratio": reference.demographic_parity_ratio,
    "equal_opportunity_difference": reference.equal_opportunity_difference,
    "equalized_odds_difference": reference.equalized_odds_difference,
    "average_absolute_odds_difference": lambda *args, **known: reference.equalized_odds_difference(
        *args, agg="mean", **known
    ),
    "false_positive_rate_difference": reference.false_positive_rate_difference,
    "false_negative_rate_difference": reference.false_negative_rate_difference,
    "accuracy_difference": reference.accuracy_score_difference,
    "worst_group_accuracy": reference.accuracy_score_group_min,
}


@st.composite
def audits(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    """Groups, labels and predictions in which every group has every cell, as fairlearn needs."""
    groups = draw(st.integers(2, 4))
    cells = [(g, y, p) for g in range(groups) for y in (0, 1) for p in (0, 1)]
    counts = draw(st.lists(st.integers(1, 12), min_size=len(cells), max_size=len(cells)))
    rows = np.repeat(np.array(cells), counts, axis=0)
    weights = draw(st.lists(st.floats(0.1, 5), min_size=len(rows), max_size=len(rows)))
    return rows[:, 0], rows[:, 1], rows[:, 2], np.array(weights)


@settings(max_examples=4, deadline=None)
@given(audits())
def test_values_are_those_of_fairlearn(rows: tuple[Any, Any, Any, Any]) -> None:
    groups, labels, predictions, weights = rows
    count = int(groups.max()) + 1
    for weight in (None, weights):
        table = confusion(groups, labels, predictions, group_count=count, weights=weight)
        for name, peer in PEERS.items():
            expected = peer(labels, predictions, sensitive_features=groups, sample_weight=weight)
            assert abs(float(value(metrics[name], table)) - expected) <= EXACT, name


@settings(max_examples=30, deadline=None)
@given(audits())
def test_predictive_parity_and_theil_are_their_definitions(rows: tuple[Any, Any, Any, Any]) -> None:
    groups, labels, predictions, _ = rows
    table = confusion(groups, labels, predictions, group_count=int(groups.max()) + 1)
    ppv = [labels[(groups == g) & (predictions == 1)].mean() for g in np.unique(groups)]
    found = float(value(named("ppv"), table))
    assert found == pytest.approx(max(ppv) - min(ppv), abs=EXACT)
    benefit = predictions - labels + 1
    ratios = [b / benefit.mean() for b in benefit]
    theil = sum(r * log(r) for r in ratios if r > 0) / len(ratios)
    assert float(value(named("theil"), table)) == pytest.approx(theil, abs=EXACT)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 5), st.integers(0, 2**32 - 1))
def test_one_class_against_the_rest_is_counted_as_by_scikit_learn(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, labels, predictions = rng.integers(0, (3, classes, classes), (80, 3)).T
    tables = one_vs_rest(confusion(groups, labels, predictions, group_count=3, class_count=classes))
    for c in range(classes):
        for g in range(3):
            here = groups == g
            expected = confusion_matrix(labels[here] == c, predictions[here] == c,
                                        labels=[False, True])  # fmt: skip
            assert (tables[c, g] == expected).all()


def test_of_several_classes_the_largest_gap_or_the_mean_counts() -> None:
    rng = np.random.default_rng(1)
    groups, labels, predictions = rng.integers(0, (2, 3, 3), (300, 3)).T
    table = confusion(groups, labels, predictions, group_count=2, class_count=3)
    gaps = [
        reference.demographic_parity_difference(
            labels == c, predictions == c, sensitive_features=groups
        )
        for c in range(3)
    ]
    metric = named("dp")
    assert float(value(metric, table)) == pytest.approx(max(gaps), abs=EXACT)
    assert float(value(metric, table, mean=True)) == pytest.approx(np.mean(gaps), abs=EXACT)


def test_calibration_error_is_the_mean_distance_of_score_and_share() -> None:
    rng = np.random.default_rng(2)
    groups, labels, scores = rng.integers(0, 2, 400), rng.integers(0, 2, 400), rng.random(400)
    table = calibration(groups, labels, scores, group_count=2)
    errors = []
    for g in (0, 1):
        error = 0.0
        for b in range(10):
            here = (groups == g) & (scores >= b / 10) & (scores < (b + 1) / 10)
            if here.any():
                error += here.sum() * abs(labels[here].mean() - scores[here].mean())
        errors.append(error / (groups == g).sum())
    found = float(value(named("ece"), table))
    assert found == pytest.approx(abs(errors[0] - errors[1]), abs=EXACT)


@pytest.mark.parametrize("name", ["eopp", "eodds", "aaod"])
def test_a_group_without_positives_leaves_no_gap(name: str) -> None:
    table = np.array([[[40.0, 10.0], [5.0, 45.0]], [[90.0, 10.0], [0.0, 0.0]]])
    assert np.isnan(value(named(name), table))  # fairlearn says 0.9 here
    assert np.isnan(rate("tpr", table)[1])


def test_one_group_alone_is_not_fair() -> None:
    table = np.array([[[40.0, 10.0], [5.0, 45.0]], [[0.0, 0.0], [0.0, 0.0]]])
    for name in ("dp", "di", "eopp", "eodds", "aaod", "ppv", "accgap"):
        assert np.isnan(value(named(name), table)), name


def test_ratio_is_undefined_where_nobody_is_selected_and_zero_where_one_group_is_not() -> None:
    nobody = np.array([[[40.0, 0.0], [5.0, 0.0]], [[30.0, 0.0], [20.0, 0.0]]])
    one = np.array([[[40.0, 0.0], [5.0, 0.0]], [[30.0, 0.0], [0.0, 20.0]]])
    assert np.isnan(value(named("di"), nobody))
    assert value(named("di"), one) == 0
    assert value(named("dp"), nobody) == 0


def test_tables_of_pairs_hold_both_tables() -> None:
    rng = np.random.default_rng(3)
    groups, labels, before, after = rng.integers(0, (3, 2, 2, 2), (200, 4)).T
    pairs = paired_confusion(groups, labels, before, after, group_count=3)
    assert (pairs.sum(axis=3) == confusion(groups, labels, before, group_count=3)).all()
    assert (pairs.sum(axis=2) == confusion(groups, labels, after, group_count=3)).all()


def test_many_tables_at_once_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(4)
    tables = rng.integers(0, 5, (20, 3, 2, 2)).astype(float)
    for name in metrics:
        metric = metrics[name]
        if metric.table == "confusion":
            together = value(metric, tables)
            alone = [float(value(metric, table)) for table in tables]
            np.testing.assert_array_equal(together, alone, err_msg=name)


def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'equalized_odds_difference'"):
        named("equalised_odds_difference")
