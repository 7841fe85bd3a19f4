"""What every method owes, whatever it does inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.answers import Examination
from dnnrepair.bits import digest
from dnnrepair.localize import Localizer, LocalizerSettings, contrast, localize
from dnnrepair.methods.gradient import Gradient
from dnnrepair.methods.method import methods, used
from dnnrepair.methods.random import Random
from tests.methods.problems import problem, subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.methods.method import Method, Problem, Proposal

SMALL: dict[str, dict[str, Any]] = {
    "arachne": {"candidates": 8, "generations": 3, "alphas": (1.0, 10.0)},
    "random": {"candidates": 50, "alphas": (1.0, 10.0)},
    "gradient": {"weights": (1.0, 10.0), "steps": 10, "count": 20},
}


def made(name: str, **more: Any) -> Method:
    return methods[name](**{**SMALL.get(name, {}), **more})


def fixed(given: Problem, found: Proposal) -> int:
    asked = Examination.of(given.subject, given.search.samples)
    return int((asked.answers(found.tensors).correct & given.search.targets).sum())


@pytest.mark.parametrize("name", list(methods))
def test_proposals_are_changes_of_parameters(name: str) -> None:
    given = problem(subject("cnn"))
    before = digest(given.subject.tensors)
    found = made(name).propose(given)
    assert found
    assert len({proposal.name for proposal in found}) == len(found)
    for proposal in found:
        assert proposal.tensors
        for tensor, value in proposal.tensors.items():
            own = given.subject.tensors[tensor]
            assert (value.shape, value.dtype) == (own.shape, own.dtype)
            assert bool(value.isfinite().all())
            assert value.data_ptr() != own.data_ptr()
            assert not value.requires_grad
    assert digest(given.subject.tensors) == before


@pytest.mark.parametrize("name", list(methods))
def test_the_same_problem_gets_the_same_proposals(name: str) -> None:
    given = problem(subject("cnn"))
    first, second = made(name).propose(given), made(name).propose(given)
    assert [p.name for p in first] == [p.name for p in second]
    for one, other in zip(first, second, strict=True):
        assert digest(one.tensors) == digest(other.tensors)


@pytest.mark.parametrize("name", list(methods))
def test_only_layers_that_may_change_do(name: str) -> None:
    given = problem(subject("cnn"), layers=("head",))
    for proposal in made(name).propose(given):
        assert proposal.tensors.keys() <= {"head.weight", "head.bias"}


def changed_places(given: Problem, found: Sequence[Proposal]) -> set[tuple[str, int]]:
    places = set()
    for proposal in found:
        for name, value in proposal.tensors.items():
            there = (value != given.subject.tensors[name]).reshape(-1).nonzero()[:, 0]
            places |= {(name, int(flat)) for flat in there}
    return places


def test_gradient_changes_no_other_weights_than_those_localized() -> None:
    given = problem(subject("cnn"))
    found = Gradient(weights=(1.0, 10.0), steps=5, count=12, reach="all").propose(given)
    settings = LocalizerSettings(localizer=Localizer.GRADIENT, count=12, seed=given.seed)
    part = used(given.search)
    suspects = localize(given.subject, *contrast(part, given.seed), settings).places
    own = given.subject.tensors
    allowed = {
        (p.tensor, int(torch.arange(own[p.tensor].numel()).view(own[p.tensor].shape)[p.index]))
        for p in suspects
    }
    assert changed_places(given, found) == allowed


def descended(given: Problem, weight: float, steps: int, rate: float) -> dict[str, Tensor]:
    """Return what Adam makes of the last layer, the whole network run in every step."""
    part, program = used(given.search), given.subject.program
    assert program is not None
    assert part.samples.targets is not None
    own = {n: given.subject.tensors[n].clone() for n in ("head.weight", "head.bias")}
    weights = own["head.weight"].requires_grad_()
    optimizer = torch.optim.Adam([weights], rate)
    counts = torch.where(part.targets, weight, 1.0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        logits = program.run(part.samples.inputs, tensors={"head.weight": weights})
        loss = torch.nn.functional.cross_entropy(logits, part.samples.targets, reduction="none")
        (counts * loss).mean().backward()
        optimizer.step()
    return {"head.weight": weights.detach()}


def test_gradient_is_adam_on_the_whole_network() -> None:
    given = problem(subject("cnn"), layers=("head.weight",))
    every = given.subject.tensors["head.weight"].numel()
    (found,) = Gradient(weights=(5.0,), steps=20, count=every).propose(given)
    wanted = descended(given, 5.0, 20, Gradient().rate)
    assert torch.allclose(found.tensors["head.weight"], wanted["head.weight"], atol=1e-4)


def test_gradient_fixes_more_where_targets_weigh_more() -> None:
    given = problem(subject("cnn"))
    gentle, bold = Gradient(weights=(0.5, 50.0), steps=40).propose(given)
    assert fixed(given, bold) > fixed(given, gentle)


def test_random_draws_other_weights_for_another_seed() -> None:
    given = problem(subject("cnn"))
    patches = Random(candidates=50, alphas=(10.0,), count=3)
    first = changed_places(given, patches.propose(given))
    other = changed_places(given, patches.propose(replace(given, seed=1)))
    assert len(first) <= 3
    assert first != other
