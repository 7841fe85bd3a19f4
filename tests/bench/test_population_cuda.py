"""What is measured on a CUDA device, here on the CPU in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair.bench import population_cuda, population_screen
from dnnrepair.bench.contest import prepared
from dnnrepair.bench.population_cuda import (
    BOUNDS,
    DENSE,
    DENSE_FLOP,
    CudaRow,
    figures,
    generation,
    rows_of,
    table,
    wall_rate,
)
from dnnrepair.bench.population_screen import Screening
from dnnrepair.bench.recipes import RECIPES, recipe_named
from dnnrepair.bench.searches import ground
from dnnrepair.bench.workloads import prepare
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.stopping import Stopping

if TYPE_CHECKING:
    from torch import Tensor

CPU = torch.device("cpu")
ROW = CudaRow(workload="head", candidates=100, rate=5e6, difference=1e-9)


def test_generations_are_those_of_a_search() -> None:
    workload = prepare(RECIPES[0], 20, seed=0)
    evaluator = prepared(workload)
    seen: list[Tensor] = []

    class Noting:
        def __call__(self, values: Tensor) -> Tensor:
            seen.append(values.clone())
            return evaluator(values)

    step = generation(workload, Noting(), 6, CPU, [])  # type: ignore[arg-type]
    for _ in range(4):
        step()
    box, start = ground(workload)
    stopping = Stopping(generations=3)
    mine = seen.copy()
    search(Rand1Bin(candidates=6), Noting(), box, (0,), start=start, stopping=stopping)
    usual = seen[len(mine) :]
    assert len(mine) == len(usual) == 4
    assert all(torch.equal(a, b) for a, b in zip(mine, usual, strict=True))


def test_rows_agree_with_the_naive_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population_cuda, "_CALLS", 1)
    monkeypatch.setattr(population_cuda, "matmul_rate", lambda _: 1e12)
    plain, dense = (rows_of(r, 16, (4,), CPU, seed=0)[0] for r in (RECIPES[1], DENSE))
    assert plain.difference <= 1e-5
    assert dense.difference <= 1e-5
    assert plain.share is None
    assert dense.share == pytest.approx(dense.rate * 16 * DENSE_FLOP / 1e12)


def test_a_rate_is_a_median_without_the_first_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 100.0, 0.0, 1.0, 0.0, 2.0, 0.0, 4.0])
    monkeypatch.setattr(population_cuda, "perf_counter", lambda: next(times))
    calls: list[int] = []
    assert wall_rate(lambda: calls.append(1), 3.0, CPU, turns=3) == 20 * 3.0 / 2.0
    assert len(calls) == 4 * 20


def test_rates_are_judged_on_the_device_that_they_are_required_of() -> None:
    rows = [ROW, replace(ROW, candidates=400), replace(ROW, workload="dense suffix", share=0.5)]
    met = [figure.met for figure in figures(rows, "NVIDIA H200")]
    assert met == [True, False, None, None, None, False]
    assert [figure.met for figure in figures(rows, "another")] == [None] * 5 + [False]
    assert figures(rows, "another")[0].value == 5e6
    screened = replace(ROW, rate=7e6, screen="tf32")
    assert figures([ROW, screened, ROW], "another")[0].value == 7e6
    unmeasured = figures((), "")
    assert len(unmeasured) == len(BOUNDS) + 1
    assert all(figure.value is None and figure.met is None for figure in unmeasured)


def test_the_table_says_why_nothing_was_captured() -> None:
    found = table([ROW, replace(ROW, share=0.5, notes=("no graph",))], "a device")
    assert [row[4:] for row in found.rows] == [
        ("-", "1.0e-09", "-"),
        ("50%", "1.0e-09", "no graph"),
    ]


def test_a_screen_finds_what_a_search_without_finds() -> None:
    workload = prepare(recipe_named("conv, 2 channels"), 20, seed=0)
    exact = prepared(workload)

    class Rounded:
        def __call__(self, given: Tensor) -> Tensor:
            return exact(given).bfloat16().double()

    mine = Screening.of(workload, Rounded(), exact, 8, CPU)  # type: ignore[arg-type]
    assert mine.slack > 0
    found: list[Tensor] = []
    for _ in range(12):
        mine.step()
        found.append(mine.fitness.clone())
    assert 8 <= mine.survived < mine.all == 12 * 8
    box, start = ground(workload)
    stopping = Stopping(generations=11)
    usual = search(Rand1Bin(candidates=8), exact, box, (0,), start=start, stopping=stopping)
    assert torch.equal(found[-1], usual.state.fitness)


def test_every_precision_has_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population_cuda, "_CALLS", 1)
    rows = list(population_screen.rows_of(RECIPES[0], 16, (4,), CPU, seed=0))
    assert [row.screen for row in rows] == ["tf32", "bf16"]
    assert all(row.rate > 0 and "evaluated again" in row.notes[0] for row in rows)
