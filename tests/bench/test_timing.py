"""Timing, against a clock that the tests turn."""

from __future__ import annotations

import os

import pytest
import torch

from dnnrepair.bench import timing
from dnnrepair.bench.timing import Effort, Entrant, affordable, one_core, race


class Clock:
    """Shows CPU seconds that only work makes pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float, amount: float = 1.0) -> float:
        self.now += seconds
        self.log.append(name)
        return amount


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(timing, "process_time", found)
    return found


def test_entrants_take_turns_and_their_median_counts(clock: Clock) -> None:
    speeds = iter([4.0, 1.0, 2.0])
    uneven = Entrant("uneven", lambda: clock.work("uneven", next(speeds), amount=8.0))
    steady = Entrant("steady", lambda: clock.work("steady", 0.5))
    rates = race([uneven, steady], Effort(turns=3, least=3, seconds=0.0))
    assert rates == {"uneven": 4.0, "steady": 2.0}
    assert clock.log == ["uneven", "steady"] * 3


def test_who_has_spent_its_time_takes_no_further_turn(clock: Clock) -> None:
    slow = Entrant("slow", lambda: clock.work("slow", 10.0))
    fast = Entrant("fast", lambda: clock.work("fast", 1.0))
    once = Entrant("once", lambda: clock.work("once", 10.0), least=1)
    race([slow, fast, once], Effort(turns=9, least=2, seconds=5.0))
    assert [clock.log.count(name) for name in ("slow", "fast", "once")] == [2, 5, 1]


def test_a_turn_is_long_enough_to_be_measured(clock: Clock) -> None:
    tiny = Entrant("tiny", lambda: clock.work("tiny", 0.0007, amount=7.0))
    rates = race([tiny], Effort(turns=1))
    assert rates["tiny"] == pytest.approx(10_000)
    assert clock.now >= 0.05


@pytest.mark.parametrize("fixed", [0.0, 0.2])
@pytest.mark.parametrize("each", [1e-5, 0.01, 0.3, 20.0])
def test_what_is_affordable_takes_about_the_time_allowed(
    clock: Clock, each: float, fixed: float
) -> None:
    count = affordable(lambda n: clock.work("", fixed + n * each), 400, 3.0)
    assert 1 <= count <= 400
    assert fixed + count * each <= 3.0 + fixed or count == 1
    assert fixed + (count + 1) * each > 2.0 or count == 400


def test_one_core_is_given_back_even_after_a_failure() -> None:
    before = (torch.get_num_threads(), os.sched_getaffinity(0))
    with pytest.raises(ZeroDivisionError):
        _fail_on_one_core()
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == before


def _fail_on_one_core() -> None:
    with one_core():
        assert len(os.sched_getaffinity(0)) == 1
        assert torch.get_num_threads() == 1
        _ = 1 / 0
