"""The kernels of a generation find what plain torch does, bit for bit.

They run on a CUDA device, or through Triton's interpreter in a process that is told so before it
imports Triton: ``test_interpreted.py`` starts one.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dnnrepair.evolve import Box, Rand1Bin, Shade, Stopping, search
from dnnrepair.evolve.in_place import Fused, Plain, in_place
from dnnrepair.fitness import Arachne
from dnnrepair.population import EvaluatorSettings, Place, prepare
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from dnnrepair.evolve import Result
    from dnnrepair.evolve.driver import Capture

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
on_device = pytest.mark.skipif(
    find_spec("triton") is None or not (INTERPRETED or torch.cuda.is_available()),
    reason="needs Triton and a CUDA device; test_interpreted.py runs it on the CPU",
)
GENERATIONS = 4
DTYPES = [torch.float32, torch.float64]
SMALL: dict[str, Any] = {
    "seed": 1,
    "candidates": 100,
    "weights": 10,
    "searches": 1,
    "own": False,
    "dtype": torch.float32,
    "crossover": 0.7,
    "scale": (0.5, 1.0),
}


def begun(case: dict[str, Any], device: str = DEVICE) -> tuple[Rand1Bin, Any]:
    searches, weights, dtype = case["searches"], case["weights"], case["dtype"]
    size = (searches, weights) if case["own"] else (weights,)
    low = torch.linspace(-3, -1, weights, dtype=dtype).expand(size).contiguous().to(device)
    strategy = Rand1Bin(
        candidates=case["candidates"], crossover=case["crossover"], scale=case["scale"]
    )
    seeds = [case["seed"] - 7 * s for s in range(searches)]
    return strategy, strategy.init(seeds, Box(low, 2 - low), ahead=1)


@on_device
@settings(max_examples=15, phases=(Phase.explicit, Phase.generate))
@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(-(2**63), 2**64),
            "candidates": st.sampled_from([4, 7, 33, 70]),
            "weights": st.sampled_from([1, 2, 10, 19]),
            "searches": st.integers(1, 3),
            "own": st.booleans(),
            "dtype": st.sampled_from(DTYPES),
            "crossover": st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
            "scale": st.sampled_from([(0.5, 1.0), (0.1, 0.7), (2.0, 2.0), (0.0, 0.3)]),
        }
    )
)
def test_three_kernels_are_a_generation(case: dict[str, Any]) -> None:
    check(case)


@on_device
def test_more_candidates_than_one_program_looks_at() -> None:
    check(SMALL | {"candidates": 1100, "weights": 1, "searches": 2}, generations=1)


def check(case: dict[str, Any], generations: int = GENERATIONS) -> None:
    strategy, plain = begun(case)
    _, mine = begun(case)
    one, other = Plain(strategy, plain), in_place(strategy, mine)
    assert isinstance(other, Fused)
    for generation in range(generations):
        trials, found = one.ask(), other.ask()
        assert torch.equal(trials, found)
        fitness = -trials.double().square().sum(-1)
        fitness[..., generation % 4] = torch.nan
        fitness[..., 3] = -torch.inf
        one.tell(trials, fitness)
        other.tell(found, fitness)
        for name, value in plain.tensors().items():
            assert torch.equal(mine.tensors()[name], value), name
        for drawn, wanted in zip(mine.ahead.now, plain.ahead.now, strict=True):
            assert torch.equal(drawn, wanted)
        if generation == 1:
            for state in (plain, mine):
                state.active[0] = False  # as where a search has ended


@on_device
@pytest.mark.parametrize("reason", ["find otherwise", "fail here"])
def test_kernels_that_do_not_work_here_are_not_used(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(*_: Any, **__: Any) -> None:
        if reason == "fail here":
            raise RuntimeError

    strategy, state = begun(SMALL)
    before = {name: value.clone() for name, value in state.tensors().items()}
    monkeypatch.setattr(Fused, "_launch", launch)
    with pytest.warns(UserWarning, match=reason):
        assert isinstance(in_place(strategy, state), Plain)
    assert all(torch.equal(value, before[name]) for name, value in state.tensors().items())


@on_device
def test_other_strategies_go_their_own_way() -> None:
    box = Box(torch.zeros(3, device=DEVICE), torch.ones(3, device=DEVICE))
    strategy = Shade(candidates=8)
    assert isinstance(in_place(strategy, strategy.init([1], box, ahead=1)), Plain)


@on_device
def test_a_search_in_place_finds_what_one_by_torch_finds() -> None:
    """Evaluated by kernels, asked and told by kernels, as a CUDA graph replays it."""
    rng = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)).eval()
    data = (torch.randn(40, 6, generator=rng), torch.randint(4, (40,), generator=rng))
    subject = subject_of(module.to(DEVICE), data)
    assert subject.samples is not None
    places = [Place("0.weight", (unit, 1)) for unit in range(3)]
    fitness = Arachne(torch.rand(2, 40, generator=rng))
    evaluator = prepare(subject, places, subject.samples, fitness, EvaluatorSettings(fused=True))
    box = Box(evaluator.originals - 1, evaluator.originals + 1)
    stopping = Stopping(generations=5, patience=1)

    def found(capture: Capture | None) -> Result:
        evaluate = evaluator.__call__  # of which no search knows that it can be replayed
        strategy = Rand1Bin(candidates=10)
        return search(strategy, evaluate, box, (0, 1), stopping=stopping, capture=capture)

    mine, plain = found(lambda step, *, state: step), found(None)  # noqa: ARG005 - its name
    assert isinstance(in_place(Rand1Bin(candidates=10), mine.state), Fused)
    assert torch.equal(mine.best, plain.best)
    for name, value in plain.state.tensors().items():
        assert torch.equal(mine.state.tensors()[name], value), name
    assert mine.reasons == plain.reasons
    assert mine.generations == plain.generations


class Operations(TorchDispatchMode):
    """Lists what torch is asked to compute."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_a_generation_is_three_launches_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node of a CUDA graph takes two microseconds, as long as such a kernel."""
    launched: list[str] = []

    def launch(_self: Fused, program: Any, *_: Any, **__: Any) -> None:
        launched.append(program.__name__)

    pytest.importorskip("triton")
    monkeypatch.setattr(Fused, "_launch", launch)
    strategy, state = begun(SMALL, "cpu")
    fused = Fused.of(strategy, state)
    fitness = torch.zeros(1, 100, dtype=torch.float64)
    with Operations() as operations:
        fused.tell(fused.ask(), fitness)
    assert launched == ["ask_program", "tell_program", "draw_program"]
    assert set(operations.names) <= {"empty_like"}  # which computes nothing
