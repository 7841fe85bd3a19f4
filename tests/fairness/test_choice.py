"""Which candidate is taken: by the gap to expect, within limits that unseen rows judge."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.fairness.candidate import Candidate
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.choice import NOISES, Judged, Jury
from dnnrepair.fairness.cohort import Cohort
from dnnrepair.fairness.responses import Responses
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.subject import subject_of

NOISE = torch.from_numpy(np.random.default_rng(0).standard_normal((20_000, 2, 2)))


def test_the_gap_to_expect_is_that_of_rates_drawn_around_the_measured_ones() -> None:
    counts = np.array([[[300, 30], [40, 80]], [[500, 120], [90, 260]]], dtype=np.float64)
    rng = np.random.default_rng(1)
    drawn = rng.beta(counts[..., 1] + 0.5, counts[..., 0] + 0.5, (20_000, 2, 2))  # Jeffreys
    wanted = np.abs(drawn[:, 1] - drawn[:, 0]).max(-1).mean()
    found = Disparity.named("eodds").expected(torch.from_numpy(counts), NOISE)
    assert float(found) == pytest.approx(wanted, abs=2e-3)
    many = torch.from_numpy(counts * 10_000)  # nothing is left to chance
    eodds = Disparity.named("eodds")
    assert float(eodds.expected(many, NOISE)) == pytest.approx(float(eodds.gap(many)), abs=1e-3)


def test_a_gap_in_one_rate_alone_is_less_to_expect_than_one_in_both() -> None:
    one = [[[900, 100], [50, 50]], [[900, 100], [60, 40]]]
    both = [[[900, 100], [50, 50]], [[800, 200], [60, 40]]]
    tables = torch.tensor([one, both], dtype=torch.float64)
    eodds = Disparity.named("eodds")
    assert eodds.gap(tables).tolist() == pytest.approx([0.1, 0.1])
    first, second = eodds.expected(tables, NOISE).tolist()
    assert first < second - 0.005


def test_a_group_without_rows_is_left_out_of_what_is_expected() -> None:
    table = torch.tensor([[[50.0, 50], [5, 5]], [[50, 50], [5, 5]], [[0, 0], [0, 0]]])
    noise = NOISE[:, :, :1].expand(-1, 2, 3)
    assert float(Disparity.named("dp").expected(table, noise[:, :1])) < 0.05


def part(name: str, rows: int) -> Cohort:
    labels = np.arange(rows) % 2
    samples = ArraySamples((torch.zeros(rows, 2),), torch.from_numpy(labels), name)
    groups = np.arange(rows) // 2 % 2
    return Cohort(name=name, samples=samples, groups=groups, levels=("a", "b"), positive=1,
                  attribute="g")  # fmt: skip


def decided(cohort: Cohort, *, missed: int, invented: int = 0) -> Responses:
    """Return the labels, but for some positives of group b missed, and negatives of it taken."""
    predicted = cohort.labels.copy()
    for label, count in ((1, missed), (0, invented)):
        places = np.flatnonzero((cohort.groups == 1) & (cohort.labels == label))[:count]
        predicted[places] = 1 - label
    return Responses(predicted=predicted, margins=predicted.astype(np.float64) - 0.5)


@pytest.fixture
def jury() -> Jury:
    network = torch.nn.Linear(2, 1)
    given = (torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    subject = subject_of(network, given, task="classify", loss="bce_logits")
    case = Case(
        subject=subject, repair=part("repair", 2000), select=part("select", 1000),
        disparity=Disparity.named("eodds"), names=("weight",),
    )  # fmt: skip
    first, fitted = decided(case.select, missed=50), decided(case.repair, missed=100)
    return Jury.of(case, first, fitted, float("nan"))


def judged(jury: Jury, select: int, repair: int, invented: int = 0) -> Judged:
    candidate = Candidate(name=f"{select} {repair}", method="descent", tensors={})
    case = jury.case
    return jury.judge(
        candidate,
        decided(case.select, missed=select, invented=invented),
        decided(case.repair, missed=repair),
    )


def test_rows_that_repair_count_for_the_gap_and_not_for_the_limits(jury: Jury) -> None:
    lucky, steady = judged(jury, 5, 90), judged(jury, 15, 30)
    assert lucky.gap < steady.gap < jury.before.gap
    assert steady.expected < lucky.expected
    assert jury.choose([lucky, steady]) is steady
    costly = judged(jury, 0, 0, invented=80)  # fair nowhere but where it was fitted
    assert costly.violation > 0
    assert jury.choose([costly]) is None


def test_the_same_chances_are_drawn_for_all_candidates(jury: Jury) -> None:
    some = [judged(jury, missed, 2 * missed) for missed in (5, 15, 30)]
    pooled = [
        one.table + jury.case.repair.table(one.fitted.predicted) for one in some if one.fitted
    ]
    together = jury.expected(torch.from_numpy(np.stack(pooled)))
    assert together.tolist() == [one.expected for one in some]
    drawn = np.random.default_rng(jury.case.seed).standard_normal((NOISES, 2, 2))
    wanted = jury.case.disparity.expected(torch.from_numpy(pooled[0]), torch.from_numpy(drawn))
    assert some[0].expected == float(wanted)


def test_a_budget_leaves_out_what_costs_more(jury: Jury) -> None:
    cheap, dear = judged(jury, 40, 80), judged(jury, 24, 40, invented=30)
    assert dear.accuracy < cheap.accuracy
    least = jury.before.accuracy - cheap.accuracy
    assert jury.choose([cheap, dear], budget=least) is cheap
    assert jury.choose([cheap, dear]) is dear


def test_a_gain_is_sure_only_if_it_is_larger_than_chance(jury: Jury) -> None:
    assert jury.gain(judged(jury, 10, 20)) > 0.1
    same = judged(jury, 50, 100)
    assert jury.gain(same) <= 0
    assert jury.choose([same]) is None
