"""Fairea's line and regions against a case that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.fairness.cohort import Cohort, overlap, parted
from dnnrepair.fairness.fairea import fairea, region
from dnnrepair.fairness.paired import changes, flips_of, levels_down, paired_table
from dnnrepair.fairness.pressure import Pressure
from dnnrepair.fitness.disparity import Disparity


def cohort(rows: int = 400, seed: int = 0) -> Cohort:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.4).astype(np.int64)
    samples = ArraySamples((torch.arange(rows)[:, None].float(),), torch.from_numpy(labels), "rows")
    return Cohort(
        name="test", samples=samples, groups=np.arange(rows) % 2, levels=("a", "b"), positive=1,
        attribute="g",
    )  # fmt: skip


def test_the_line_ends_where_everybody_gets_the_majority_decision() -> None:
    rows = cohort()
    wrong = np.arange(400) % 10 == 0
    before = np.where(wrong, 1 - rows.labels, rows.labels)
    found = fairea(rows, before, rows.labels, Disparity.named("eodds"), np.random.default_rng(0))
    assert found.baseline[0][0] == 0.9
    assert found.baseline[-1] == pytest.approx((1 - rows.labels.mean(), 0.0))
    assert found.region == "win-win"  # the labels themselves: no error, no gap
    assert all(a >= b for (a, _), (b, _) in zip(found.baseline, found.baseline[1:], strict=False))


def test_a_line_that_rises_has_no_regions() -> None:
    assert region([(0.7, 0.1), (0.8, 0.0)], (0.9, 0.0)) == "undefined"


def test_parts_share_every_group_and_label_and_no_row() -> None:
    rows = cohort()
    parts = [part for part in parted(rows, seed=1) if part is not None]
    assert sum(map(len, parts)) == 400
    assert not overlap(parts[0], parts[1])
    assert not overlap(parts[0], parts[2])
    assert overlap(rows, parts[0]) == len(parts[0])
    for group in (0, 1):
        for label in (0, 1):
            count = [int(((p.groups == group) & (p.labels == label)).sum()) for p in parts]
            assert abs(count[0] - sum(count) / 2) <= 1


def test_who_changed_is_counted() -> None:
    rows = cohort()
    after = rows.labels.copy()
    lost = np.flatnonzero((rows.groups == 0) & (rows.labels == 1))[:7]
    after[lost] = 0
    found = flips_of(rows, rows.labels, after, ("no", "yes"))
    assert [(f.level, f.label, f.lost, f.won) for f in found if f.lost or f.won] == [
        ("a", "yes", 7, 0)
    ]
    assert levels_down(paired_table(rows, rows.labels, after))
    assert not levels_down(paired_table(rows, after, rows.labels))


def test_paired_intervals_cover_no_change_when_nothing_changed() -> None:
    rows = cohort()
    before = np.where(np.arange(400) % 7 == 0, 1 - rows.labels, rows.labels)
    for one in changes(rows, before, before, "eodds", np.random.default_rng(0), 200):
        assert (one.value, one.low, one.high) == (0, 0, 0)
        assert one.p == 1


def test_pressure_grows_while_a_gap_lasts_and_ends_when_it_is_tolerated() -> None:
    pressure = Pressure.none(1, 2)
    apart = torch.tensor([[0.9, 0.5]])
    for _ in range(5):
        pressure.follow(apart, tolerance=0.1)
    assert float(pressure.now[0, 0]) > 0 > float(pressure.now[0, 1])
    assert float(pressure.now.sum()) == 0
    grown = float(pressure.now[0, 0])
    for _ in range(50):
        pressure.follow(torch.tensor([[0.51, 0.5]]), tolerance=0.1)
    assert 0 <= float(pressure.now[0, 0]) < 0.1 * grown
