"""What only a CUDA device can show: captured generations, and sizes of a real search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from dnnrepair.evolve import Box, Rand1Bin, Stopping, search
from dnnrepair.fitness import Arachne
from dnnrepair.kernels import Scoring, Tail, available, captured, tail
from dnnrepair.kernels.reference import TailReference
from dnnrepair.population import Place, prepare
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(bool(available()), reason="needs Triton"),
]


def real_tail(inputs: int = 2000, units: int = 10) -> Tail:
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng).cuda()

    return Tail(
        columns=draw(10, inputs),
        unit_of=torch.randint(units, (10,), generator=rng, dtype=torch.int32).cuda(),
        before=draw(units, inputs),
        weight=draw(10, units),
        base=2 * draw(10, inputs),
        scoring=Scoring(
            torch.randint(10, (inputs,), generator=rng, dtype=torch.int32).cuda(),
            torch.rand(inputs, generator=rng).cuda(),
        ),
    )


@pytest.mark.parametrize("units", [1, 10, 33, 64, 65])
def test_real_sizes_agree(units: int) -> None:
    task = real_tail(units=units)
    changes = torch.randn(100, 10, device="cuda")
    found, wanted = tail(task), TailReference(task)
    assert found.backend == ("torch" if units > 64 else "triton")
    torch.testing.assert_close(
        found(changes).fitness, wanted(changes).fitness, rtol=1e-6, atol=1e-6
    )


def test_a_captured_search_goes_the_way_of_the_plain_one() -> None:
    score = tail(real_tail())

    def search(steps: int, *, capture: bool) -> torch.Tensor:
        rng = torch.Generator("cuda").manual_seed(3)
        place = torch.zeros(100, 10, device="cuda")
        best = score(place).fitness

        def step() -> None:
            trial = place + 0.1 * torch.randn(100, 10, device="cuda", generator=rng)
            fitness = score(trial).fitness
            place.copy_(torch.where((fitness >= best)[:, None], trial, place))
            best.copy_(torch.maximum(fitness, best))

        notes: list[str] = []
        run = (
            captured(step, state=(place, best), generators=(rng,), notes=notes) if capture else step
        )
        assert not notes
        assert (run is step) != capture
        for _ in range(steps):
            run()
        return place

    assert torch.equal(search(5, capture=True), search(5, capture=False))


def test_a_search_replays_its_generations_and_finds_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)).eval()
    data = (torch.randn(500, 6, generator=rng), torch.randint(4, (500,), generator=rng))
    subject = subject_of(module.cuda(), data)
    assert subject.samples is not None
    places = [Place("0.weight", (unit, 1)) for unit in range(5)]
    evaluator = prepare(subject, places, subject.samples, Arachne(torch.rand(2, 500)))
    box = Box(evaluator.originals - 1, evaluator.originals + 1)
    replayed: list[int] = []

    def noting(step: Callable[[], None], *, state: Sequence[torch.Tensor]) -> Callable[[], None]:
        run = captured(step, state=state)
        assert run is not step
        replayed.append(1)
        return run

    def found(evaluate: Any) -> Any:
        stopping = Stopping(generations=30, patience=20)
        return search(Rand1Bin(candidates=20), evaluate, box, (0, 1), stopping=stopping)

    monkeypatch.setattr("dnnrepair.evolve.driver.captured", noting)
    mine = found(evaluator)
    plain = found(lambda values: evaluator(values))  # unknown to it  # noqa: PLW0108
    assert replayed == [1]
    assert torch.equal(mine.best, plain.best)
    assert torch.equal(mine.state.population, plain.state.population)
    assert mine.generations == plain.generations


def test_a_step_that_waits_for_the_device_is_not_captured() -> None:
    values = torch.zeros(3, device="cuda")
    notes: list[str] = []

    def step() -> None:
        values.add_(1 + values.sum().item())

    assert captured(step, state=(values,), notes=notes) is step
    assert len(notes) == 1
    assert values.tolist() == [0, 0, 0]
