"""Processes share the inputs, and what they measured is compared."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from dnnrepair.bench import scaling
from dnnrepair.bench.contest import prepared
from dnnrepair.bench.recipes import RECIPES
from dnnrepair.bench.scaling import Measured, identical, launch, table, timed
from dnnrepair.bench.workloads import prepare
from dnnrepair.sharding import Shards

ALONE = [Measured("hidden", 100.0, (1.0, 2.0)), Measured("conv, 9 channels", 10.0, (3.0, 4.0))]
PAIR = [Measured("hidden", 150.0, (1.0, 2.0)), Measured("conv, 9 channels", 20.0, (3.0, 4.0))]


def test_efficiency_is_the_rate_over_that_of_as_many_lone_processes() -> None:
    found = table({1: ALONE, 2: PAIR})
    efficiency = {(row[0], row[3]): row[-1] for row in found.rows}
    assert efficiency == {
        ("hidden", "1"): "100%",
        ("hidden", "2"): "75%",
        ("conv, 9 channels", "1"): "100%",
        ("conv, 9 channels", "2"): "100%",
    }


def test_one_bit_is_a_difference() -> None:
    assert identical({1: ALONE, 2: PAIR}).met is True
    off = [PAIR[0], Measured("conv, 9 channels", 20.0, (3.0, 4.0000000000000009))]
    found = identical({1: ALONE, 2: off})
    assert (found.value, found.met) == (0.75, False)


def test_without_a_run_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*command: Any, **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="much\nno room left\n")

    monkeypatch.setattr(subprocess, "run", fail)
    found, figure, skipped = scaling.scaling(0)
    assert (found.rows, figure.met) == ((), None)
    assert skipped == ("scaling over processes: 1 processes did not finish (no room left)",)


def test_two_processes_find_what_one_finds() -> None:
    name, candidates = "conv, 9 channels", 5
    workload = prepare(next(r for r in RECIPES if r.name == name), 512, seed=0)
    evaluator = prepared(workload)
    rate, fitness = timed(evaluator, workload.candidates(candidates, seed=1), Shards())
    alone = Measured(name, rate, tuple(fitness.tolist()))
    pair = launch(2, 0, {name: (512, candidates)})
    assert pair[0].rate > 0
    assert len(set(pair[0].fitness)) == candidates
    assert identical({1: [alone], 2: pair}).met is True
