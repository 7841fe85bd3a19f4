"""The benchmark of the whole repair: what it plans, how it counts, and one run of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dnnrepair.bench.faulty import NETWORKS, TRAININGS, given, trained
from dnnrepair.bench.repair import planned, summarized
from dnnrepair.bench.repair_runs import DIGITS, End, Run, RunResult, carried_out
from dnnrepair.bench.result import BenchOptions

FAULTS = {  # that the issue names
    *("dying ReLU", "vanishing", "exploding", "bad initialization", "wrong output activation"),
    *("unscaled input", "stale batch norm", "oscillating loss"),
}


def result(*, mine: bool, chance: bool) -> RunResult:
    def end(repaired: bool) -> End:
        return End(accuracy=0.9 if repaired else 0.2, gone=repaired, repaired=repaired, done=())

    return RunResult(
        run=Run(data=DIGITS, training=0, network="mlp", seed=0),
        code="ACT001",
        faulty=0.1,
        twin=0.95,
        treated=end(mine),
        random=end(chance),
        attempts=2,
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


def test_a_run_spoils_and_repairs() -> None:
    place = next(i for i, one in enumerate(TRAININGS) if one.fault == "oscillating loss")
    found = carried_out(Run(data=DIGITS, training=place, network="mlp", seed=0))
    assert found.faulty < 0.5
    assert found.twin > 0.9
    assert found.code
    assert found.treated.repaired
    assert found.treated.accuracy > found.twin - 0.02
    assert found.attempts >= 1


def test_the_same_seed_spoils_the_same_way() -> None:
    x, y = torch.rand(200, 1, 8, 8), torch.arange(200) % 10
    for training in TRAININGS[:2]:
        network = training.networks[0]
        one, other = (
            trained(training, network, given(training, network, x), y, 3).state_dict()
            for _ in range(2)
        )
        assert all(torch.equal(one[name], other[name]) for name in one)
