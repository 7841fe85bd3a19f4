"""The population benchmark measures what it says, and judges it by its bounds."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.bench import loops, population
from dnnrepair.bench.contest import (
    BLOCKED,
    CACHED,
    NAIVE,
    OURS,
    SEARCH,
    VMAP,
    Row,
    Turns,
    disagreement,
    measure,
    prepared,
)
from dnnrepair.bench.recipes import RECIPES
from dnnrepair.bench.requirements import RATIOS
from dnnrepair.bench.result import BenchOptions, Figure, Table
from dnnrepair.bench.timing import Effort
from dnnrepair.bench.workloads import prepare

if TYPE_CHECKING:
    from dnnrepair.bench.loops import Loop

BRIEF = Effort(turns=1, least=1, seconds=0.0, call=0.05)
LSTM = next(recipe for recipe in RECIPES if recipe.name == "lstm")


def row(**given: Any) -> Row:
    plain = Row(
        workload="head",
        samples=2000,
        candidates=100,
        timed=100,
        rates={NAIVE: 1.0, CACHED: 1000.0, OURS: 20_000.0, SEARCH: 15_000.0},
        limit=80_000.0,
        difference=1e-9,
        verdicts=0,
        checked=3,
        prepared=1.0,
    )
    return replace(plain, **given)


def test_a_contest_has_a_row_for_each_size_and_agrees_with_the_naive_loop() -> None:
    rows = measure(RECIPES[0], 20, (4, 30), BRIEF, seed=0)
    assert [(r.samples, r.candidates) for r in rows] == [(20, 4), (20, 30)]
    rivals = {NAIVE, CACHED, NAIVE + BLOCKED, CACHED + BLOCKED, VMAP, OURS}
    for found in rows:
        whole = found.timed == found.candidates
        assert set(found.rates) == rivals | ({SEARCH} if whole else set())
        assert (found.share is not None) == whole
        assert found.checked >= 1
        assert found.difference <= 1e-5
        assert found.verdicts == 0
        assert found.timed <= found.candidates


def test_the_lstm_goes_without_vmap() -> None:
    (found,) = measure(LSTM, 4, (4,), BRIEF, seed=0)
    assert set(found.rates) - {SEARCH} == {NAIVE, CACHED, NAIVE + BLOCKED, CACHED + BLOCKED, OURS}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_evaluator_agrees_with_the_naive_loop(recipe: Any) -> None:
    workload = prepare(recipe, 8, seed=1)
    oracle = Turns(loops.naive(workload), workload.candidates(2, seed=2))
    for _ in oracle.values:
        oracle()
    difference, verdicts = disagreement(prepared(workload), oracle)
    assert difference <= 1e-5
    assert verdicts == 0


class Wrong:
    """An evaluator that is off by a tenth, and in one verdict of each candidate."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        return self.loop(values).fitness * 1.1

    def verdicts(self, values: torch.Tensor) -> torch.Tensor:
        found = self.loop(values).verdicts.clone()
        found[:, 0] ^= True
        return found


def test_disagreement_is_noticed() -> None:
    workload = prepare(RECIPES[0], 10, seed=0)
    oracle = Turns(loops.naive(workload), workload.candidates(3, seed=1))
    oracle()
    oracle()
    wrong: Any = Wrong(loops.naive(workload))
    difference, verdicts = disagreement(wrong, oracle)
    assert difference == pytest.approx(0.1)
    assert verdicts == 2


def test_figures_are_met_missed_or_not_measured() -> None:
    result = population.summarize([row()])
    met = {figure.name: figure.met for figure in result.figures}
    assert met["head: times faster than naive"] is True
    assert met["hidden: times faster than naive"] is None
    assert len(met) == sum(map(len, RATIOS.values())) + 4
    assert result.met
    slow = population.summarize([row(rates={NAIVE: 1.0, CACHED: 1.0, OURS: 0.9, SEARCH: 0.3})])
    missed = {figure.name for figure in slow.figures if figure.met is False}
    assert missed == {
        "head: times faster than naive",
        "head: times faster than cached prefix",
        "lowest ratio to naive (head, N = 2,000, P = 100)",
        "lowest share that a search reaches (head, N = 2,000, P = 100)",
    }
    wrong = population.summarize([row(), row(workload="lstm", verdicts=1, difference=1e-4)])
    assert [f.name for f in wrong.figures if f.met is False] == [
        "relative difference of fitness",
        "verdicts that differ",
    ]


def test_the_lowest_share_is_that_of_the_worst_search() -> None:
    rates = {NAIVE: 1.0, OURS: 10.0}
    rows = [
        row(rates={**rates, SEARCH: 9.0}),
        row(workload="lstm", rates={**rates, SEARCH: 6.0}),
        row(workload="attention", rates=rates),
    ]
    result = population.summarize(rows)
    (found,) = (f for f in result.figures if f.name.startswith("lowest share"))
    assert (found.value, found.met) == (0.6, True)
    assert found.name.endswith("(lstm, N = 2,000, P = 100)")
    assert any("attention, N = 2,000" in reason for reason in result.skipped)
    unsearched = population.summarize([rows[2]])
    assert [f.met for f in unsearched.figures if f.name.startswith("lowest share")] == [None]


def test_what_does_not_fit_at_many_inputs_is_listed() -> None:
    rates = {NAIVE + BLOCKED: 1.0, OURS: 10.0, SEARCH: 9.0}
    rows = [
        row(samples=60_000, rates={**rates, CACHED + BLOCKED: 5.0}),
        row(workload="hidden", samples=60_000, rates=rates),
    ]
    listed = population.summarize(rows).skipped
    assert [reason for reason in listed if "cached prefix" in reason] == [
        "the loop from a cached prefix of hidden at N = 60,000: the prefix does not fit"
    ]


def test_only_the_required_size_is_judged_by_the_required_ratios() -> None:
    result = population.summarize([row(samples=200), row(candidates=400)])
    assert result.figures[0].name == "head: times faster than naive"
    assert result.figures[0].value is None


def process() -> list[Any]:
    return [os.getpid()]


def test_no_contest_shares_a_process_with_another() -> None:
    (one,), (other,) = population.alone(process), population.alone(process)
    assert len({one, other, os.getpid()}) == 3


def test_tables_say_what_did_not_run() -> None:
    rates, ratios, agreement = population.summarize([row()]).tables
    cells = dict(zip(rates.columns, rates.rows[0], strict=True))
    assert (cells["ours"], cells["vmap"], cells["fraction"]) == ("20,000", "-", "25.0%")
    assert cells["share"] == "75%"
    assert dict(zip(ratios.columns, ratios.rows[0], strict=True))["cached prefix"] == "20"
    assert agreement.rows[0] == ("head", "2,000", "100", "100", "3", "1.0e-09", "0", "1.0")


@pytest.mark.parametrize(("quick", "contests"), [(True, 4), (False, 22)])
def test_every_workload_is_measured(
    monkeypatch: pytest.MonkeyPatch, quick: bool, contests: int
) -> None:
    asked = []

    def fake(recipe: Any, samples: int, sizes: Any, effort: Effort, seed: int) -> list[Row]:
        asked.append((recipe.name, samples, sizes))
        assert (effort.all_rivals, seed) == (not quick, 5)
        return [row(workload=recipe.name, samples=samples, candidates=size) for size in sizes]

    scaled = (Table("", (), (("hidden",),)), Figure("same", "1", 1.0, met=True), ("reason",))
    monkeypatch.setattr(population, "measure", fake)
    monkeypatch.setattr(population, "alone", lambda work, *arguments: work(*arguments))
    monkeypatch.setattr(population, "scaling", lambda _: scaled)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = population.run(BenchOptions(quick=quick, seed=5))
    assert len(asked) == contests
    assert len(result.tables[0].rows) == sum(len(sizes) for *_, sizes in asked)
    if not quick:
        assert {name for name, samples, _ in asked if samples == 60_000} == {"head", "hidden"}
        assert {name for name, *_ in asked} == {recipe.name for recipe in RECIPES}
    assert sum("CUDA" in reason for reason in result.skipped) == 1
    unmeasured = {f.name for f in result.figures if f.value is None}
    assert sum("CUDA" in name for name in unmeasured) == 6
    assert len(result.tables) == (3 if quick else 4)
    assert ("reason" in result.skipped) is not quick
    assert any("scaling" in reason for reason in result.skipped) is quick
