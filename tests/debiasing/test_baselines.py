"""Other methods: what they decide is what independent computations say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.debiasing.reweighing import reweighed
from dnnrepair.debiasing.scored import Scored
from dnnrepair.debiasing.thresholds import per_group
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.cohort import Cohort
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.fitness.fairness import Limits
from dnnrepair.subject import subject_of

ROWS = 500


def scored(seed: int) -> tuple[Case, Scored]:
    """Return a linear network that prefers group 0, and what it says of made-up people."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 2, ROWS)
    labels = (rng.random(ROWS) < 0.3 + 0.3 * (groups == 0)).astype(np.int64)
    x = np.stack([labels + rng.normal(0, 0.8, ROWS), groups + rng.normal(0, 0.3, ROWS)], 1)
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.5, -1.0]]))
        layer.bias.fill_(-0.3)
    samples = ArraySamples((torch.from_numpy(x).float(),), torch.from_numpy(labels), "people")
    people = Cohort(name="repair", samples=samples, groups=groups, levels=("a", "b"), positive=1,
                    attribute="group")  # fmt: skip
    given = (samples.inputs[0][:4], torch.from_numpy(labels[:4]))
    case = Case(
        subject=subject_of(layer.eval(), given, task="classify", loss="bce_logits"),
        repair=people, select=people, disparity=Disparity.named("dp"), names=("weight", "bias"),
        limits=Limits(max_acc_drop=0.05, min_f1_ratio=0.9),
    )  # fmt: skip
    return case, Scored.of(case, people)


def test_a_last_layer_trained_anew_is_the_weighted_regression_of_sklearn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    (_, fit), (_, judge) = scored(0), scored(1)
    groups, labels = fit.cohort.groups, fit.cohort.labels
    weights = [
        (groups == g).mean() * (labels == y).mean() / ((groups == g) & (labels == y)).mean()
        for g, y in zip(groups, labels, strict=True)
    ]
    assert fit.features is not None
    assert judge.features is not None
    mean, std = fit.features.mean(0), fit.features.std(0)
    regression = linear_model.LogisticRegression(C=1 / (2e-4 * ROWS), tol=1e-10, max_iter=10_000)
    regression.fit((fit.features - mean) / std, labels, sample_weight=weights)
    wanted = regression.decision_function((judge.features - mean) / std)
    assert reweighed(fit, judge) == pytest.approx(wanted, abs=1e-3)


def test_no_pair_of_thresholds_on_the_grid_is_fairer_within_the_limits() -> None:
    case, fit = scored(2)
    scores, groups, labels = fit.scores, fit.cohort.groups, fit.cohort.labels

    def shown(positive: np.ndarray) -> tuple[float, float, float]:
        hits = (positive & (labels == 1)).sum()
        apart = abs(positive[groups == 0].mean() - positive[groups == 1].mean())
        return apart, (positive == labels).mean(), 2 * hits / (positive.sum() + labels.sum())

    before, after = shown(scores > 0.5), shown(per_group(case, fit, fit))
    least = (before[1] - 0.05 - 1e-9, 0.9 * before[2] - 1e-9)
    assert after[1] >= least[0]
    assert after[2] >= least[1]
    assert after[0] < before[0] - 0.1
    shares = 1 - np.geomspace(0.01, 0.9, 40)
    grids = [np.append(np.quantile(scores[groups == g], shares), 0.5) for g in (0, 1)]
    for pair in product(*grids):
        apart, accuracy, f1 = shown(scores > np.array(pair)[groups])
        assert accuracy < least[0] or f1 < least[1] or apart >= after[0] - 1e-9
