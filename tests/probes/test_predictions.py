"""Streamed predictions against slow loops over all rows at once."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.evidence.predictions import TOP_EDGES, Predictions
from dnnrepair.observation import Facts, Task
from dnnrepair.probe import Batch
from dnnrepair.probes.predictions import PredictionsProbe


def measure(
    prediction: Tensor, targets: Tensor | None, facts: Facts, mask: Tensor | None = None
) -> Predictions:
    batch = Batch(inputs=(prediction,), targets=targets, mask=mask)
    return PredictionsProbe().measure_prediction(prediction, batch, facts)


CLASSIFY = Facts(task=Task.CLASSIFY, loss="cross_entropy", classes=4, labeled=True)


def slow_ece(top: Any, right: Any) -> float:
    total = 0.0
    for low in np.arange(15) / 15:
        chosen = [i for i in range(len(top)) if low < top[i] <= low + 1 / 15]
        if chosen:
            total += len(chosen) * abs(np.mean(top[chosen]) - np.mean(right[chosen]))
    return float(total / len(top))


@given(
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    sharp=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 50),
)
def test_streamed_classes_equal_slow_loops(cuts: list[int], sharp: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    scores = torch.randn(sum(cuts), 4, generator=rng) * sharp
    labels = torch.randint(0, 4, (sum(cuts),), generator=rng)
    parts = zip(scores.split(cuts), labels.split(cuts), strict=True)
    found: Predictions = reduce(add, [measure(s, y, CLASSIFY) for s, y in parts])
    shares = scores.softmax(1)
    top, predicted = (v.numpy() for v in shares.max(1))
    right = (predicted == labels.numpy()).astype(float)
    confusion = np.zeros((4, 4))
    for label, guess in zip(labels.tolist(), predicted.tolist(), strict=True):
        confusion[label, guess] += 1
    np.testing.assert_array_equal(found.confusion, confusion)
    np.testing.assert_array_equal(found.hits, confusion.diagonal())
    assert found.accuracy == pytest.approx(right.mean())
    assert found.confidence == pytest.approx(top.mean(), rel=1e-5)
    assert found.ece == pytest.approx(slow_ece(top, right), abs=1e-5)
    assert found.mean_loss == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-4)
    entropy = torch.special.entr(shares).sum(1).mean()
    assert found.entropy == pytest.approx(float(entropy), rel=1e-3, abs=1e-6)
    tenth = np.sort(top)[max(int(np.ceil(0.1 * len(top))) - 1, 0)]
    place = np.searchsorted(TOP_EDGES, tenth, side="right") - 1
    assert found.p10_top == pytest.approx(TOP_EDGES[min(place, len(TOP_EDGES) - 2)], abs=1e-6)
    np.testing.assert_allclose(found.outputs.std, scores.double().std(0, correction=0), rtol=1e-5)
    assert found.summing == 0


def test_ignored_and_padded_tokens_are_left_out() -> None:
    scores = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 4, (6, 5))
    mask = torch.rand(6, 5) > 0.3
    given_labels = labels.clone()
    given_labels[0] = -100
    found = measure(scores, given_labels, CLASSIFY, mask)
    kept = mask.clone()
    kept[0] = False
    assert found.rows == found.labeled == int(kept.sum())
    wanted = (scores[kept].argmax(1) == labels[kept]).float().mean()
    assert found.accuracy == pytest.approx(float(wanted))


def test_pixels_are_rows() -> None:
    scores, labels = torch.randn(3, 4, 5, 6), torch.randint(0, 4, (3, 5, 6))
    found = measure(scores, labels, CLASSIFY)
    assert found.rows == 90
    assert found.accuracy == pytest.approx(float((scores.argmax(1) == labels).float().mean()))


@pytest.mark.parametrize("loss", ["bce", "bce_logits"])
def test_one_output_is_two_classes(loss: str) -> None:
    logits = torch.randn(80, 1, generator=torch.Generator().manual_seed(2))
    labels = (torch.rand(80) > 0.4).long()
    given_outputs = logits.sigmoid() if loss == "bce" else logits
    found = measure(given_outputs, labels, Facts(loss=loss, classes=1))
    assert found.accuracy == pytest.approx(
        float(((logits[:, 0] > 0) == labels.bool()).float().mean())
    )
    wanted = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    assert found.mean_loss == pytest.approx(float(wanted), rel=1e-4)
    assert found.predicted.sum() == 80


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_one_class_per_row_under_a_loss_per_output(loss: str) -> None:
    shares = torch.rand(50, 4)
    labels = torch.randint(0, 4, (50,))
    found = measure(shares, labels, Facts(loss=loss, classes=4))
    function = F.binary_cross_entropy if loss == "bce" else F.mse_loss
    wanted = function(shares, F.one_hot(labels, 4).float())
    assert found.mean_loss == pytest.approx(float(wanted), rel=1e-4)


def test_probabilities_and_their_logarithms_are_recognized() -> None:
    scores = torch.randn(40, 4)
    assert measure(scores.softmax(1), None, CLASSIFY).summing == 40
    assert measure(scores.log_softmax(1), None, CLASSIFY).logarithmic == 40
    assert measure(scores.sigmoid(), None, CLASSIFY).summing == 0
    plain, logs = (
        measure(scores.softmax(1), torch.zeros(40).long(), CLASSIFY),
        measure(scores, torch.zeros(40).long(), CLASSIFY),
    )
    assert plain.confidence == pytest.approx(logs.confidence, rel=1e-5)


def test_regression_r_squared_is_that_of_the_whole() -> None:
    rng = torch.Generator().manual_seed(4)
    wanted = torch.randn(90, 2, generator=rng)
    guess = wanted + 0.3 * torch.randn(90, 2, generator=rng)
    facts = Facts(task=Task.REGRESS, loss="mse", labeled=True)
    parts = [measure(g, t, facts) for g, t in zip(guess.split(40), wanted.split(40), strict=True)]
    found: Predictions = reduce(add, parts)
    error = (guess - wanted).square().sum()
    assert found.r_squared == pytest.approx(
        float(1 - error / (wanted - wanted.mean(0)).square().sum()), rel=1e-4
    )
    assert found.mean_loss == pytest.approx(float(error / 180), rel=1e-4)


def test_without_labels_and_with_values_that_are_not_finite_nothing_breaks() -> None:
    scores = torch.randn(30, 4)
    scores[3] = torch.nan
    found = measure(scores, None, CLASSIFY)
    assert found.outputs.nonfinite == 4
    assert found.labeled == 0
    assert np.isnan(found.accuracy)
    assert np.isnan(found.mean_loss)
    assert found.predicted.sum() == 30
