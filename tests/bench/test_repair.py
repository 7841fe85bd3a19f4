"""The benchmark of the whole repair: what it plans, how it counts, and one run of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import ttest_1samp

from dnnrepair.bench import repair as bench
from dnnrepair.bench.faulty import NETWORKS, TRAININGS, given, trained
from dnnrepair.bench.repair import mean_interval, planned, summarized
from dnnrepair.bench.repair_runs import DIGITS, End, Run, RunResult, carried_out
from dnnrepair.bench.result import BenchOptions

FAULTS = {  # that the issue names
    *("dying ReLU", "vanishing", "exploding", "bad initialization", "wrong output activation"),
    *("unscaled input", "stale batch norm", "oscillating loss"),
}


def result(*, mine: bool, chance: bool) -> RunResult:
    def end(repaired: bool) -> End:
        return End(
            accuracy=0.9 if repaired else 0.2,
            gone=repaired,
            repaired=repaired,
            done=(),
            attempts=2,
            epochs=20,
        )

    return RunResult(
        run=Run(data=DIGITS, training=0, network="mlp", seed=0),
        code="ACT001",
        faulty=0.1,
        twin=0.95,
        treated=end(mine),
        random=end(chance),
        seconds=1.0,
    )


def test_enough_is_planned_and_what_is_left_out_is_said() -> None:
    runs, skipped = planned(BenchOptions(data_dir=Path("data")))
    assert len(runs) >= 60
    assert not skipped
    assert {TRAININGS[one.training].fault for one in runs} == FAULTS
    assert {one.network for one in runs} == set(NETWORKS)
    half, skipped = planned(BenchOptions())
    assert 2 * len(half) == len(runs)
    assert "Fashion-MNIST: name the folder" in skipped[0]
    few, skipped = planned(BenchOptions(quick=True))
    assert {TRAININGS[one.training].fault for one in few} == FAULTS
    assert len(few) == len(FAULTS)
    assert skipped


@pytest.mark.parametrize(
    ("mine", "chance", "met"),
    [
        ([True] * 62 + [False] * 2, [True] * 32 + [False] * 32, [True, True, True]),
        ([True] * 58 + [False] * 6, [True] * 32 + [False] * 32, [True, False, True]),
        ([True] * 64, [True] * 63 + [False], [True, True, False]),
        ([True] * 10, [False] * 10, [None, True, True]),
    ],
)
def test_bounds_are_judged(mine: list[bool], chance: list[bool], met: list[bool | None]) -> None:
    results = [result(mine=a, chance=b) for a, b in zip(mine, chance, strict=True)]
    found = summarized(results, ())
    assert [figure.met for figure in found.figures] == met
    assert found.figures[1].value == pytest.approx(sum(mine) / len(mine))


def test_a_killed_benchmark_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Run] = []

    def killed(run: Run) -> RunResult:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(run)
        return replace(result(mine=run.number % 2 == 0, chance=False), run=run)

    options = BenchOptions(quick=True, workers=1, cache=tmp_path)
    monkeypatch.setattr(bench, "carried_out", killed)
    with pytest.raises(KeyboardInterrupt):
        bench.run(options)
    first = list(made)
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        bench.run(options)
    assert len(first) == len(made) == 3
    assert not set(first) & set(made)
    made.clear()
    found = bench.run(options)
    assert len(made) == len(FAULTS) - 6
    assert len(found.tables[-1].rows) == len(FAULTS)
    even = sum(run.number % 2 == 0 for run in planned(options)[0])
    assert found.figures[1].value == even / len(FAULTS)


def test_the_interval_of_a_mean_agrees_with_scipy() -> None:
    values = [0.1, 0.4, 0.35, 0.8]
    mean, low, high = mean_interval(values)
    test = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((0.4125, test.low, test.high))


def test_a_run_spoils_and_repairs() -> None:
    place = next(i for i, one in enumerate(TRAININGS) if one.fault == "oscillating loss")
    found = carried_out(Run(data=DIGITS, training=place, network="mlp", seed=0))
    assert found.faulty < 0.5
    assert found.twin > 0.9
    assert found.code
    assert found.treated.repaired
    assert found.treated.accuracy > found.twin - 0.02
    assert found.treated.attempts >= 1
    assert found.random.attempts >= found.treated.attempts
    assert found.random.epochs >= found.treated.epochs


def test_the_same_seed_spoils_the_same_way() -> None:
    x, y = torch.rand(200, 1, 8, 8), torch.arange(200) % 10
    for training in TRAININGS[:2]:
        network = training.networks[0]
        one, other = (
            trained(training, network, given(training, network, x), y, 3).state_dict()
            for _ in range(2)
        )
        assert all(torch.equal(one[name], other[name]) for name in one)
