"""Shifts read off sorted margins are those that a changed bias makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dnnrepair.data import ArraySamples
from dnnrepair.fairness.candidate import Candidate
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.cohort import Cohort
from dnnrepair.fairness.responses import Asking
from dnnrepair.fairness.shifting import Shifter, tables
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.subject import subject_of


def case(width: int, positive: int = 1, *, bias: bool = True, **more: object) -> Case:
    torch.manual_seed(width)
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, width, bias=bias)).eval()
    x, y = torch.randn(80, 3), torch.arange(80) % max(2, width)
    loss = "bce_logits" if width == 1 else "cross_entropy"
    subject = subject_of(network, (x, y), task="classify", loss=loss)
    cohort = Cohort(
        name="rows", samples=ArraySamples((x,), y, "rows"), groups=np.arange(80) // 2 % 3 - 1,
        levels=("a", "b"), positive=positive, attribute="g",
    )  # fmt: skip
    names = ("2.weight", "2.bias") if bias else ("2.weight",)
    given = {"subject": subject, "repair": cohort, "select": cohort, "names": names, **more}
    return Case(disparity=Disparity.named("eodds"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "positive"), [(1, 1), (1, 0), (2, 1), (2, 0)])
def test_a_table_of_a_shift_is_that_of_the_shifted_network(width: int, positive: int) -> None:
    one = case(width, positive)
    shifter = Shifter.of(one)
    assert shifter is not None
    assert shifter.exact
    asking = Asking.of(one.subject, one.repair, one.names)
    before = asking.responses()
    shifts = shifter.shifts(3.0)
    found = tables(one.repair, before.margins, shifts)
    assert len(found) == len(shifts)
    original = Candidate(name="c", method="descent", tensors=dict(one.subject.tensors))
    moved = 0
    for place in (0, 7, 20, 33, 40):
        shifted = shifter.shifted(original, float(shifts[place]))
        after = asking.responses({name: shifted.tensors[name] for name in one.names})
        assert (found[place].numpy() == one.repair.table(after.predicted)).all()
        read = before.shifted(float(shifts[place]), positive)
        assert (read.predicted == after.predicted).all()
        assert read.margins == pytest.approx(after.margins, abs=1e-5)
        moved += int((after.predicted != before.predicted).sum())
    assert moved > 40


def test_nothing_shifts_what_has_no_single_bias() -> None:
    assert Shifter.of(case(3)) is None
    assert Shifter.of(case(1, bias=False)) is None
    assert Shifter.of(case(1, masks={"2.bias": torch.zeros(1)})) is None
    assert Shifter.of(case(1)) is not None


def test_a_bound_holds_for_the_shift_too() -> None:
    one = case(1, bound=0.05)
    shifter = Shifter.of(one)
    assert shifter is not None
    assert not shifter.exact
    own = dict(one.subject.tensors)
    shifted = shifter.shifted(Candidate(name="c", method="descent", tensors=own), 1.0)
    assert float(shifted.tensors["2.bias"] - own["2.bias"]) == pytest.approx(0.05)
