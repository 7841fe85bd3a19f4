"""The benchmark of fairness repairs: what it plans, its limit, one run of it, and its figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from dnnrepair.bench import fairness_runs
from dnnrepair.bench.fairness_data import People, parts, twins
from dnnrepair.bench.fairness_limit import least_gap
from dnnrepair.bench.fairness_record import NAN, Plan, Run
from dnnrepair.bench.fairness_repairs import planned, repair_rows
from dnnrepair.bench.fairness_runs import by_chance, carried_out
from dnnrepair.bench.fairness_tables import required, tables
from dnnrepair.bench.result import BenchOptions
from dnnrepair.fairness.descent import Descent
from dnnrepair.fairness_report import BaselineResult
from dnnrepair.fitness.disparity import OBJECTIVES, Disparity
from dnnrepair.fitness.fairness import Limits

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan(data="Adult", attribute="sex", told=True, objective="eodds", seed=0)


@pytest.fixture(scope="module")
def people() -> People:
    """Return made-up people, whose group is an input and part of the label."""
    rng = np.random.default_rng(2)
    group = rng.integers(0, 2, 2400)
    skill = rng.normal(0, 1, (2400, 3)).astype(np.float32)
    labels = (skill.sum(1) + 1.2 * group + rng.normal(0, 1, 2400) > 1).astype(np.int64)
    block = np.stack([1 - group, group], 1).astype(np.float32)
    return People(
        name="made up", inputs=np.concatenate([skill, block], 1), numbers=3, labels=labels,
        groups={"sex": group}, blocks={"sex": (3, 4)}, hidden=(16,), dropout=0.0,
    )  # fmt: skip


def test_every_objective_is_planned_and_twenty_seeds_of_the_required_one() -> None:
    plans = planned(0, quick=False)
    assert len(set(plans)) == len(plans)
    for data, attribute in (("Adult", "sex"), ("Adult", "race"), ("COMPAS", "sex"),
                            ("COMPAS", "race"), ("Default", "sex")):  # fmt: skip
        own = [p for p in plans if (p.data, p.attribute, p.told) == (data, attribute, True)]
        assert {p.objective for p in own} == set(OBJECTIVES)
        for objective in OBJECTIVES:
            least = 20 if objective == "eodds" else 10
            assert {p.seed for p in own if p.objective == objective} == set(range(least))
        assert any(p.attribute == attribute and not p.told for p in plans if p.data == data)
    first = [p for p in plans if p.objective == "eodds" and p.told]
    assert plans[: len(first)] == first  # a run that is cut short has what is required
    assert len(planned(0, quick=True)) == 3


def test_without_data_it_says_what_is_missing() -> None:
    found, figures, skipped = repair_rows(BenchOptions())
    assert not found
    assert not figures
    assert "--data-dir" in skipped[0]


def test_a_run_repairs_and_is_kept(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Descent(emphases=(1.0,), steps=120, looks=6, batch=256, rate=5e-3)
    monkeypatch.setattr("dnnrepair.fairness.repair.Descent", lambda: quick)
    flip = replace(PLAN, objective="flip")
    found = list(carried_out(people, [PLAN, flip], tmp_path))
    eodds, flips = found
    assert eodds.accepted
    assert eodds.after[2] < 0.6 * eodds.before[2]
    assert eodds.after[0] > eodds.before[0] - 0.03
    assert eodds.limit < eodds.before[2]
    assert 0 < eodds.own_inputs < 1
    assert {one.id for one in eodds.others} >= {"unmodified", "threshold_per_group"}
    assert (eodds.others[0].accuracy, eodds.others[0].gap) == (eodds.before[0], eodds.before[2])
    assert flips.after[2] < flips.before[2]
    assert np.isnan(flips.limit)

    def refused(*_: object) -> None:
        pytest.fail("a finished run was done again")

    monkeypatch.setattr(fairness_runs, "trained", refused)
    again = list(carried_out(people, [PLAN, flip], tmp_path))
    assert repr(again) == repr(found)  # NaN is not equal to itself


def test_twins_differ_in_the_attribute_alone(people: People) -> None:
    inputs = torch.from_numpy(people.inputs)
    first, second = twins(people, "sex", inputs)
    assert (first[:, :3] == inputs[:, :3]).all()
    assert first[:, 3:].tolist() == [[1.0, 0.0]] * len(inputs)
    assert second[:, 3:].tolist() == [[0.0, 1.0]] * len(inputs)
    assert sum(map(len, parts(people, 0))) == len(inputs)


@pytest.mark.parametrize("objective", ["dp", "eopp", "eodds", "aaod", "accgap"])
@pytest.mark.parametrize("seed", range(3))
def test_the_limit_is_that_of_all_thresholds_mixed_by_lot(objective: str, seed: int) -> None:
    """Against a program over every threshold of each group and its opposite, not over hulls."""
    rng = np.random.default_rng(seed)
    groups, labels = np.arange(60) % 2, rng.integers(0, 2, 60)
    margins = np.array(rng.normal(0, 1, 60) + labels - 0.7 * groups, dtype=np.float64).round(1)
    disparity, limits = Disparity.named(objective), Limits(max_acc_drop=0.02)
    rules = []
    for group in (0, 1):
        own, true = margins[groups == group], labels[groups == group]
        cuts = [-np.inf, *np.unique(own)]
        decided = [own > cut for cut in cuts] + [own <= cut for cut in cuts]
        rules.append([np.bincount(true * 2 + d, minlength=4).reshape(2, 2) for d in decided])
    pairs = [np.stack(pair) for pair in product(*rules)]
    found = least_gap(margins, labels, groups, disparity, limits)
    assert found == pytest.approx(
        mixed(pairs, margins, labels, groups, disparity, limits), abs=1e-8
    )


def mixed(
    pairs: list[np.ndarray],
    margins: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    disparity: Disparity,
    limits: Limits,
) -> float:
    """Return the least gap of lots over pairs of rules: all is linear in their probabilities."""
    base = np.bincount(groups * 4 + labels * 2 + (margins > 0), minlength=8).reshape(2, 2, 2)
    whole = base.sum(0)
    least = (whole[0, 0] + whole[1, 1]) / 60 - limits.max_acc_drop
    f1 = 2 * whole[1, 1] / (2 * whole[1, 1] + whole[0, 1] + whole[1, 0])
    tables = torch.from_numpy(np.array(pairs, dtype=np.float64))
    rates = disparity.of_groups(tables).numpy()  # (pairs, rates, groups)
    apart = rates[..., 1] - rates[..., 0]
    count, kinds = apart.shape
    rows = [
        np.append(sign * apart[:, k], -np.eye(kinds)[k]) for k in range(kinds) for sign in (1, -1)
    ]
    bounds = [0.0] * len(rows)
    sums = np.array(pairs).sum(1)
    right = (sums[:, 0, 0] + sums[:, 1, 1]) / 60
    rows.append(np.append(-right, np.zeros(kinds)))
    bounds.append(-least)
    kept = limits.min_f1_ratio * f1
    f1_row = kept * (2 * sums[:, 1, 1] + sums[:, 0, 1] + sums[:, 1, 0]) - 2 * sums[:, 1, 1]
    rows.append(np.append(f1_row, np.zeros(kinds)))
    bounds.append(0.0)
    cost = np.append(np.zeros(count), np.ones(kinds) / kinds)
    if not disparity.mean:  # all gaps are below one
        rows = [np.append(row[:count], row[count:].sum()) for row in rows]
        cost = np.append(np.zeros(count), 1.0)
    ones = np.append(np.ones(count), np.zeros(len(cost) - count))
    least_cost = linprog(cost, np.array(rows), bounds, ones[None], [1.0]).fun
    assert least_cost is not None
    return float(least_cost)


def test_chance_alone_parts_groups_that_are_treated_alike() -> None:
    table = np.array([[[800, 200], [60, 40]], [[400, 100], [90, 60]]], dtype=np.float64)
    rng = np.random.default_rng(0)
    spread = np.sqrt(0.4 * 0.6 * (1 / 100 + 1 / 150))  # of the difference of true positive rates
    found = by_chance(table, Disparity.named("eopp"), rng)
    assert found == pytest.approx(spread * np.sqrt(2 / np.pi), rel=0.05)
    assert by_chance(table, Disparity.named("eodds"), rng) > found
    assert np.isnan(by_chance(table, Disparity.named("flip"), rng))


def run(plan: Plan, after: float, region: str = "good", accuracy: float = 0.845) -> Run:
    other = BaselineResult(
        id="other", accuracy=0.82, gap=0.01, f1=0.6, uses_sensitive_at_inference=True
    )
    taken = after < 0.1
    return Run(
        plan=plan, before=(0.85, 0.66, 0.1), after=(accuracy, 0.65, after),
        select_gap=after - 0.01 if taken else NAN, region=region, limit=0.02, floor=0.02,
        own_inputs=0.2, seconds=12.0, cpu=11.0, others=(other,), reason="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("after", "region", "accuracy", "met"),
    [
        (0.03, "good", 0.845, [True, True, True, True, True, True]),
        (0.05, "good", 0.845, [False, True, True, True, True, True]),
        (0.03, "bad", 0.83, [True, False, True, True, False, True]),
        (0.10, "", 0.845, [False, True, True, False, False, True]),
    ],
)
def test_bounds_are_judged(after: float, region: str, accuracy: float, met: list[bool]) -> None:
    runs = [run(replace(PLAN, seed=seed), after, region, accuracy) for seed in range(10)]
    assert [figure.met for figure in required(runs)] == met


@pytest.mark.parametrize("quick", [True, False])
def test_one_seed_judges_no_mean(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def carried(plans: list[Plan], *_: object) -> list[tuple[Plan, Run]]:
        return [(plan, run(plan, 0.09, "bad", 0.8)) for plan in plans]

    monkeypatch.setattr("dnnrepair.bench.fairness_repairs._all", carried)
    _, figures, skipped = repair_rows(BenchOptions(quick=quick, data_dir=tmp_path))
    assert {figure.met for figure in figures} == ({None} if quick else {True, False})
    assert any("one seed, which judges no mean" in reason for reason in skipped) is quick


def test_the_tables_say_what_was_reached_and_who_kept_the_limits() -> None:
    runs = [run(replace(PLAN, seed=seed), 0.02 + 0.01 * (seed % 3)) for seed in range(10)]
    reached, others = tables([*runs, run(replace(PLAN, told=False), 0.05)])
    cells = dict(zip(reached.columns, reached.rows[0], strict=True))
    assert cells["gap"] == "0.100 -> 0.029"
    assert cells["less"].startswith("71% [")
    assert (cells["better"], cells["Fairea good"], cells["inputs"]) == (
        "10/10", "10/10", "with attribute",
    )  # fmt: skip
    assert reached.rows[1][2] == "without"
    assert dict(zip(others.columns, others.rows[0], strict=True))["limits kept"] == "0/10"
