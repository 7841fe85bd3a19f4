"""The fused kernels are handed the right things: in plain torch they agree with the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from dnnrepair import kernels
from dnnrepair.errors import SettingError
from dnnrepair.fitness import Arachne, Margin
from dnnrepair.kernels import ConvTail, Scores, screened
from dnnrepair.kernels.reference import ConvReference
from dnnrepair.population import EvaluatorSettings, Place, batched, prepare
from dnnrepair.population.batched import BatchedEvaluator
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from dnnrepair.fitness import Fitness

ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "leaky": nn.LeakyReLU(0.2),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "gelu-tanh": nn.GELU(approximate="tanh"),
    "silu": nn.SiLU(),
    "elu": nn.ELU(0.7),
}


def pair(
    module: nn.Module, places: list[Place], fitness: Fitness, *, count: int = 60
) -> tuple[BatchedEvaluator, BatchedEvaluator]:
    """Return evaluators with and without the kernels."""
    torch.manual_seed(0)
    data = (torch.randn(count, 6), torch.randint(0, 4, (count,)))
    subject = subject_of(module.eval(), data)
    assert subject.samples is not None
    made = []
    for fused in (True, False):
        settings = EvaluatorSettings(fused=fused, block=25)
        found = prepare(subject, places, subject.samples, fitness, settings)
        assert isinstance(found, BatchedEvaluator)
        made.append(found)
    return made[0], made[1]


def network(activation: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 9), activation, nn.Dropout(0.5), nn.Linear(9, 4))


LAST = [Place("3.weight", (1, 2)), Place("3.weight", (3, 3)), Place("3.bias", (1,))]
FIRST = [
    Place("0.weight", (1, 2)),
    Place("0.weight", (7, 3)),
    Place("0.weight", (1, 5)),
    Place("0.bias", (4,)),
]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("places", [LAST, FIRST], ids=["head", "tail"])
@pytest.mark.parametrize("searches", [1, 3])
def test_kernels_agree_with_the_graph(name: str, places: list[Place], searches: int) -> None:
    weights = torch.rand(searches, 60) if searches > 1 else torch.rand(60)
    fused, plain = pair(network(ACTIVATIONS[name]), places, Arachne(weights))
    assert fused.fused is not None
    assert plain.fused is None
    shape = (searches, 5) if searches > 1 else (5,)
    values = fused.originals + torch.randn(*shape, len(places))
    torch.testing.assert_close(fused(values), plain(values), rtol=1e-6, atol=1e-6)


def failing(_changes: torch.Tensor, **_: object) -> Scores:
    message = "no kernel image is available\nfor execution"
    raise RuntimeError(message)


def lying(changes: torch.Tensor, **_: object) -> Scores:
    return Scores(torch.full((len(changes),), torch.nan, dtype=torch.float64), None)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (failing, "they fail here (no kernel image is available)"),
        (lying, "they find otherwise than torch does"),
    ],
)
@pytest.mark.parametrize("searches", [1, 3])
def test_kernels_that_do_not_work_here_are_not_used(
    kernel: Any, reason: str, searches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched, "fused_blocks", lambda *_, force: [kernel] if force else None)
    weights = torch.rand(searches, 60)
    mine, plain = pair(network(nn.ReLU()), FIRST, Arachne(weights))
    assert mine.notes == [f"evaluating without fused kernels: {reason}"]
    assert mine.fused is None
    values = mine.originals + torch.randn(searches, 5, len(FIRST))
    values = values if searches > 1 else values[0]
    assert torch.equal(mine(values), plain(values))


def test_a_convolution_that_does_not_work_here_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layers = (nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 5, 3, padding=1), nn.ReLU(), nn.Flatten())
    module = nn.Sequential(*layers, nn.Linear(15, 4))
    places = [Place("1.weight", (unit, 0, 0)) for unit in (0, 3)]

    def twice(task: ConvTail, *, precision: str) -> Any:
        assert precision == "ieee"
        return lambda changes: 2 * ConvReference(task)(changes)

    monkeypatch.setattr(kernels, "conv_tail", twice)
    mine, plain = pair(module, places, Arachne(torch.rand(60)))
    values = mine.originals + torch.randn(5, 2)
    with pytest.warns(UserWarning, match="without the fused convolution: they find otherwise"):
        found = mine.logits(values)
    torch.testing.assert_close(found, plain.logits(values))


def test_nothing_is_fused_where_every_input_is_certain() -> None:
    module = network(nn.ReLU()).eval()
    inputs = torch.randn(60, 6)
    subject = subject_of(module, (inputs, module(inputs).argmax(1)))
    assert subject.samples is not None
    weights = torch.rand(60)
    own = torch.tensor([subject.tensors[place.tensor][place.index] for place in FIRST])
    settings = EvaluatorSettings(fused=True, box=(own - 1e-9, own + 1e-9))
    found = prepare(subject, FIRST, subject.samples, Arachne(weights), settings)
    assert isinstance(found, BatchedEvaluator)
    assert not found.blocks
    torch.testing.assert_close(float(found(own.unsqueeze(0))), float(weights.sum()))


def test_other_suffixes_and_fitnesses_take_the_graph() -> None:
    weights = torch.ones(60)
    deep = nn.Sequential(network(nn.ReLU()), nn.ReLU(), nn.Linear(4, 4))
    assert pair(deep, [Place("0.0.weight", (0, 0))], Arachne(weights))[0].fused is None
    both = [*LAST, *FIRST]
    assert pair(network(nn.ReLU()), both, Arachne(weights))[0].fused is None
    assert pair(network(nn.Softplus()), FIRST, Arachne(weights))[0].fused is None
    assert pair(network(nn.ReLU()), FIRST, Margin(weights))[0].fused is None


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.Identity()])
def test_a_convolution_and_the_linear_layer_behind_it_are_one(activation: nn.Module) -> None:
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Unflatten(1, (2, 3)),
        nn.Conv1d(2, 5, 3, padding=1, groups=1),
        activation,
        nn.Flatten(),
        nn.Linear(15, 7),
        nn.ReLU(),
        nn.Linear(7, 4),
    )
    places = [
        Place("1.weight", (3, 1, 0)),
        Place("1.weight", (0, 0, 2)),
        Place("1.bias", (3,)),
        Place("6.weight", (2, 2)),  # behind what is fused
    ]
    fused, plain = pair(module, places, Arachne(torch.rand(60)))
    assert fused.suffix.opening is not None
    assert fused.suffix.opening.length >= 3
    values = fused.originals + torch.randn(5, 4)
    assert fused.suffix.opening.run(fused.blocks[0].frame, fused.suffix.chunk(values)) is not None
    torch.testing.assert_close(fused.logits(values), plain.logits(values), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused(values), plain(values), rtol=1e-6, atol=1e-6)


def test_what_a_kernel_never_writes_makes_no_chunk_smaller() -> None:
    layers = (nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 5, 3, padding=1), nn.ReLU(), nn.Flatten())
    module = nn.Sequential(*layers, nn.Linear(15, 2), nn.ReLU(), nn.Linear(2, 4))
    places = [Place("1.weight", (unit, 0, 0)) for unit in (0, 3)]
    fused, plain = pair(module, places, Arachne(torch.rand(60)))
    inputs = (torch.randn(16, 6),)
    assert plain.suffix.record(inputs).largest == 16 * 2 * 3  # two channels
    assert fused.suffix.record(inputs).largest == 16 * 4  # the logits


def test_a_precision_that_no_kernel_has_is_refused() -> None:
    with pytest.raises(SettingError, match="known: ieee, tf32"):
        EvaluatorSettings(precision="fp8")


def test_a_screen_scores_survivors_exactly() -> None:
    """Two evaluators make a screen; on the CPU both are exact, so it rejects the unfit alone."""
    places = [Place("0.weight", (1, 2)), Place("0.weight", (7, 3))]
    fast, exact = pair(network(nn.ReLU()), places, Arachne(torch.rand(60)))
    values = exact.originals + torch.randn(9, 2)
    wanted = exact(values)
    threshold = wanted.median().expand(9)
    found = screened(fast, exact, threshold, slack=1e-3)(values)
    assert torch.equal(found[wanted >= threshold], wanted[wanted >= threshold])
    assert bool((found[wanted < threshold - 1e-2] == -torch.inf).all())
