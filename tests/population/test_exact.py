"""The batched evaluation against the module itself, candidate by candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dnnrepair.fitness import Arachne
from dnnrepair.models.recipe import fresh, networks
from dnnrepair.population import Place, naive, prepare
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

TIE = 1e-5  # outputs so close that rounding decides, relative to the largest


def agreement(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Assert that outputs agree relative to the largest one."""
    assert found.shape == wanted.shape
    scale = wanted.abs().max().clamp(min=1e-30)
    assert float((found - wanted).abs().max() / scale) < tolerance


def plain_fitness(logits: Tensor, labels: Tensor, weights: Tensor) -> tuple[float, Tensor]:
    """Return Arachne's fitness, and which inputs are right, as one would write it down."""
    if logits.shape[-1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    loss = F.cross_entropy(logits.double(), labels, reduction="none")
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    right = own >= logits.amax(1)
    terms = torch.where(right, 1.0, 1 / (1 + loss))
    terms, right = (
        terms.flatten(1).mean(1) if terms.dim() > 1 else terms,
        right.flatten(1).all(1) if right.dim() > 1 else right,
    )
    return float((weights * terms).sum()), right


def close_calls(logits: Tensor) -> Tensor:
    """Return which inputs have their two largest outputs within a rounding error."""
    if logits.shape[-1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    top = logits.topk(2, dim=1).values
    near = top[:, 0] - top[:, 1] <= TIE * logits.abs().max()
    return near.flatten(1).any(1) if near.dim() > 1 else near


def compare(
    case: Any, seed: int, count: int, scale: float, tolerance: float, only: str = ""
) -> None:
    rng = torch.Generator().manual_seed(seed)
    places = case.places(count, rng, only)
    values = case.values(places, 5, scale, rng)
    weights = 1 + 9 * torch.rand(len(case.labels), generator=rng)
    evaluator = prepare(case.subject, places, case.samples, Arachne(weights))
    assert not evaluator.notes  # the graph was used
    expected = [case.eager(places, candidate) for candidate in values]
    answers_alike(evaluator, values, expected, case.labels, weights, tolerance)


def answers_alike(
    evaluator: Any,
    values: Tensor,
    expected: list[Tensor],
    labels: Tensor,
    weights: Tensor,
    tolerance: float,
) -> None:
    """Assert that an evaluator gives each candidate what the module's outputs say."""
    logits = evaluator.logits(values)
    verdicts, fitness = evaluator.verdicts(values), evaluator(values)
    for row, wanted in enumerate(expected):
        agreement(logits[row], wanted, tolerance)
        total, right = plain_fitness(wanted, labels, weights)
        differ = verdicts[row] != right
        assert not bool((differ & ~close_calls(wanted)).any())
        if not bool(differ.any()):
            assert float(fitness[row]) == pytest.approx(total, rel=1e-5)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6), count=st.integers(1, 14), scale=st.sampled_from([0.01, 0.3, 3.0])
)
def test_it_answers_as_the_module_does(case: Any, seed: int, count: int, scale: float) -> None:
    compare(case, seed, count, scale, 1e-5)


@settings(max_examples=3)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 14))
def test_it_answers_alike_in_double_precision(exact_case: Any, seed: int, count: int) -> None:
    compare(exact_case, seed, count, 1.0, 1e-13)


def test_every_tensor_can_be_patched_alone(case: Any) -> None:
    for number, name in enumerate(case.parameters):
        compare(case, number, 3, 0.5, 1e-5, only=name)


def module_places(module: nn.Module, count: int, rng: torch.Generator) -> list[Place]:
    parameters = dict(module.named_parameters())
    names = list(parameters)
    found: dict[Place, None] = {}
    while len(found) < count:
        name = names[int(torch.randint(len(names), (1,), generator=rng))]
        shape = parameters[name].shape
        found[Place(name, tuple(int(torch.randint(s, (1,), generator=rng)) for s in shape))] = None
    return list(found)


@pytest.mark.parametrize("name", [n for n in networks if networks[n].task != "generate"])
def test_reference_networks_agree_with_the_naive_loop(name: str) -> None:
    recipe = networks[name]
    module = fresh(recipe, 0)
    data = recipe.data()
    inputs, targets = data.test_inputs[:40], data.test_targets[:40]
    subject = subject_of(module, (inputs, targets), task=recipe.task, loss=recipe.loss)
    assert subject.samples is not None
    from dnnrepair.fitness import Regression

    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        places = module_places(module, (1, 6, 20)[seed], rng)
        weights = torch.rand(40, generator=rng)
        fitness = Arachne(weights) if recipe.task == "classify" else Regression(weights, 0.5)
        batched = prepare(subject, places, subject.samples, fitness)
        oracle = naive(subject, places, subject.samples, fitness)
        values = batched.originals + 0.2 * torch.randn(4, len(places), generator=rng)
        agreement(batched.logits(values), oracle.logits(values), 1e-5)
        assert bool((batched.verdicts(values) == oracle.verdicts(values)).all())
        torch.testing.assert_close(batched(values), oracle(values), rtol=1e-5, atol=1e-7)
