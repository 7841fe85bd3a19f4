"""Gradient descent on a few weights against Adam on the whole network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Examination
from dnnrepair.localize import Localizer, LocalizerSettings, contrast, localize
from dnnrepair.methods.gradient import Gradient
from dnnrepair.methods.method import used
from tests.methods.problems import problem, subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.methods.method import Problem, Proposal


def fixed(given: Problem, found: Proposal) -> int:
    asked = Examination.of(given.subject, given.search.samples)
    return int((asked.answers(found.tensors).correct & given.search.targets).sum())


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
