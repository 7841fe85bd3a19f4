"""Of a network that ends in a softmax, every method works on the logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dnnrepair.fitness import Arachne as Fitness
from dnnrepair.methods.arachne import Arachne
from dnnrepair.methods.gradient import Gradient
from dnnrepair.methods.method import Method
from dnnrepair.population import Place, naive, prepare
from dnnrepair.splitting import in_memory
from dnnrepair.subject import Subject, subject_of
from tests.methods.problems import network, problem, subject


def soft() -> Subject:
    """Return the MLP with a softmax behind it, its parameters under the same names."""
    net, x, y = network("mlp")

    class Soft(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, part in net.named_children():
                self.add_module(name, part)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = type(net).forward(self, x)
            return logits.softmax(-1)

    given = Soft()
    return subject_of(given.eval(), (x, y))


@pytest.mark.parametrize("make", [prepare, naive])
def test_the_fitness_is_that_of_the_logits(make: object) -> None:
    bare, squashed = subject("mlp"), soft()
    assert squashed.facts.squashed
    assert not bare.facts.squashed
    places = [Place("head.weight", (3, 2)), Place("head.weight", (8, 5)), Place("head.bias", (1,))]
    values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)) * 3
    weights = torch.linspace(0.5, 2, in_memory(bare.samples).size)
    found, wanted = (
        make(given, places, in_memory(given.samples), Fitness(weights))(values)  # type: ignore[operator]
        for given in (squashed, bare)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    "method",
    [
        Arachne(candidates=12, generations=6, alphas=(5.0,), reach="all"),
        Gradient(weights=(5.0,), steps=6, count=20, reach="all"),
    ],
)
def test_what_is_proposed_is_what_the_logits_ask_for(method: Method) -> None:
    (found,), (wanted,) = (method.propose(problem(given)) for given in (soft(), subject("mlp")))
    for name, value in wanted.tensors.items():
        torch.testing.assert_close(found.tensors[name], value, rtol=1e-3, atol=1e-4)
