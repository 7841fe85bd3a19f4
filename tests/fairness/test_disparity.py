"""Gaps as tensors are those of the metrics; the fitness is that of a loop over candidates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dnnrepair.data import ArraySamples
from dnnrepair.errors import SettingError
from dnnrepair.fairness.metric import metrics, value
from dnnrepair.fairness.paired import METRIC_OF
from dnnrepair.fitness.disparity import Disparity, tabled
from dnnrepair.fitness.fairness import Fairness, Limits
from dnnrepair.population import Place, naive, prepare
from dnnrepair.subject import subject_of

COUNTS = st.lists(st.integers(0, 30), min_size=12, max_size=12)


@given(COUNTS, st.sampled_from(sorted(METRIC_OF)))
@settings(max_examples=60, deadline=None)
def test_a_gap_is_that_of_the_metric(counts: list[int], name: str) -> None:
    table = np.array(counts, dtype=np.float64).reshape(3, 2, 2)
    found = float(Disparity.named(name).gap(torch.from_numpy(table)))
    wanted = float(value(metrics[METRIC_OF[name]], table))
    if np.isnan(wanted):  # a rate that fewer than two groups have counts not
        return
    assert found == pytest.approx(wanted, abs=1e-12)


def test_an_empty_cell_is_neither_zero_nor_one() -> None:
    table = torch.tensor([[[5.0, 5.0], [2.0, 2.0]], [[5.0, 5.0], [0.0, 0.0]]])
    assert float(Disparity.named("eodds").gap(table)) == 0.0  # the second group has no TPR
    assert torch.isnan(Disparity.named("eopp").of_groups(table)[0, 1])


def test_small_cells_shrink_towards_all_groups() -> None:
    table = torch.tensor([[[0.0, 0.0], [50.0, 50.0]], [[0.0, 0.0], [0.0, 1.0]]])
    eopp = Disparity.named("eopp")
    assert float(eopp.gap(table, shrunk=1.0)) < float(eopp.gap(table)) == 0.5


def test_tables_of_probabilities_are_differentiable() -> None:
    soft = torch.rand(20, dtype=torch.float64, requires_grad=True)
    groups, labels = torch.arange(20) % 2, torch.arange(20) % 4 < 2

    def gap(x: torch.Tensor) -> torch.Tensor:
        return Disparity.named("aaod").gap(tabled(groups, labels, x, 2))

    assert torch.autograd.gradcheck(gap, (soft,))


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(SettingError, match="no objective is called 'eod'; known: dp, eopp, eodds"):
        Disparity.named("eod")


def tables(*cells: list[list[float]]) -> torch.Tensor:
    return torch.tensor(cells, dtype=torch.float64)


BASE = tables([[50, 10], [10, 30]], [[60, 5], [15, 20]])


def test_a_constant_answer_breaks_the_limits_though_it_is_fair() -> None:
    nobody = torch.stack([BASE.sum(-1), torch.zeros(2, 2, dtype=torch.float64)], -1)
    assert float(Disparity.named("eodds").gap(nobody)) == 0
    lost = float(Limits(max_acc_drop=1.0).violation(nobody, BASE))
    assert lost == pytest.approx(0.98 * 100 / 140)  # all of the F1 that must be left
    assert float(Limits(max_acc_drop=1.0, balanced=True).violation(nobody, BASE)) > 0.1


def test_levelling_down_and_selection_are_limited() -> None:
    worse = tables([[50, 10], [15, 25]], [[60, 5], [15, 20]])
    loose = Limits(max_acc_drop=1.0, min_f1_ratio=0.0)
    assert float(loose.violation(worse, BASE)) == 0
    down = Limits(max_acc_drop=1.0, min_f1_ratio=0.0, level_down=0.05)
    assert float(down.violation(worse, BASE)) == pytest.approx(0.125 - 0.05)
    band = Limits(max_acc_drop=1.0, min_f1_ratio=0.0, selection_band=0.05)
    assert float(band.violation(worse, BASE)) == pytest.approx(5 / 200 - 0.05 * 65 / 200)


def test_a_limit_out_of_range_is_refused() -> None:
    with pytest.raises(SettingError, match="--max-acc-drop is 2; give a share from 0 to 1"):
        Limits(max_acc_drop=2)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_evaluator_gives_what_writing_the_weights_gives(width: int) -> None:
    torch.manual_seed(width)
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, width)).eval()
    x, y = torch.randn(60, 4), torch.arange(60) % max(2, width)
    loss = "bce_logits" if width == 1 else "cross_entropy"
    subject = subject_of(network, (x, y), task="classify", loss=loss)
    groups = torch.arange(60) // 2 % 2
    base = torch.zeros(2, 2, 2)
    with torch.no_grad():
        out = network(x)
    picked = (out[:, 0] > 0).long() if width == 1 else out.argmax(1)
    for g, label, p in zip(groups, y == 1, picked == 1, strict=True):
        base[g, int(label), int(p)] += 1
    fitness = Fairness(groups=groups, labels=y == 1, disparity=Disparity.named("eodds"), base=base)
    places = [Place("2.weight", (0, i)) for i in range(6)] + [Place("2.bias", (0,))]
    samples = ArraySamples((x,), y, "rows")
    quick, slow = (
        prepare(subject, places, samples, fitness),
        naive(subject, places, samples, fitness),
    )
    values = slow.originals + torch.randn(8, 7)
    assert torch.allclose(quick(values), slow(values), atol=1e-6)
    assert float(quick(slow.originals[None])[0]) <= 0
    with pytest.raises(SettingError, match="use --search descent"):
        Fairness(groups=groups, labels=y == 1, disparity=Disparity.named("flip"), base=base)
