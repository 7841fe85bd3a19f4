"""ROC curves and calibration by group, against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from dnnrepair.fairness.curves import area, curves, delong, roc
from dnnrepair.fairness.gates import Gates
from dnnrepair.fairness.rows import Attribute, Rows


def drawn(count: int, seed: int, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, with ties where digits are few, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(2, 3, count).round(digits)
    return scores, rng.random(count) < scores


@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_curve_is_that_of_scikit_learn(digits: int, weighted: bool) -> None:
    scores, positive = drawn(500, 1, digits)
    weights = np.random.default_rng(2).random(500) if weighted else None
    across, up, _ = roc_curve(positive, scores, sample_weight=weights, drop_intermediate=False)
    found = roc(scores, positive, weights)
    np.testing.assert_allclose(found, np.stack([across, up], axis=1), atol=1e-12)
    expected = roc_auc_score(positive, scores, sample_weight=weights)
    assert area(found) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("digits", [1, 8])
def test_the_interval_is_that_of_a_plain_loop(digits: int) -> None:
    scores, positive = drawn(120, 3, digits)
    above, below = scores[positive], scores[~positive]
    beats = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in below] for a in above])
    spread = np.sqrt(
        beats.mean(axis=1).var(ddof=1) / len(above) + beats.mean(axis=0).var(ddof=1) / len(below)
    )
    low, high = delong(scores, positive)
    assert (low + high) / 2 == pytest.approx(beats.mean(), abs=1e-12)
    assert (high - low) / 2 == pytest.approx(1.959964 * spread, abs=1e-12)


def test_intervals_of_the_area_hold_it() -> None:
    rng = np.random.default_rng(5)
    true = 0.760249939  # Phi(1 / sqrt 2): normals of variance 1 whose means lie 1 apart
    held = 0
    for _ in range(1000):
        scores = np.concatenate([rng.normal(0, 1, 60), rng.normal(1, 1, 40)])
        low, high = delong(scores, np.arange(100) >= 60)
        held += low <= true <= high
    assert held >= 930


def test_each_group_has_its_own_curves() -> None:
    scores, positive = drawn(3000, 7, 8)
    codes = np.random.default_rng(8).integers(0, 2, 3000)
    codes[:5] = 2  # too few to judge
    sex = Attribute(name="sex", levels=("a", "b", "few"), codes=codes, reference=0)
    rows = Rows(
        attributes=(sex,),
        labels=positive.astype(np.int64),
        predictions=(scores >= 0.5).astype(np.int64),
        classes=("no", "yes"),
        scores=scores,
    )
    first, second = curves(rows, sex, Gates())
    assert (first.level, second.level) == ("a", "b")
    for place, one in enumerate((first, second)):
        mine = codes == place
        assert one.auc.value == pytest.approx(roc_auc_score(positive[mine], scores[mine]))
        assert len(one.roc) <= 103
        assert (one.roc[0], one.roc[-1]) == ((0, 0), (1, 1))
        drawn_area = area(np.array(one.roc))
        assert drawn_area == pytest.approx(one.auc.value, abs=0.005)  # thinned
        share, score = calibration_curve(positive[mine], scores[mine], n_bins=10)
        np.testing.assert_allclose([b.share for b in one.bins], share, atol=1e-12)
        np.testing.assert_allclose([b.score for b in one.bins], score, atol=1e-12)
        decided = scores[mine] >= 0.5
        assert one.threshold == (decided[~positive[mine]].mean(), decided[positive[mine]].mean())
