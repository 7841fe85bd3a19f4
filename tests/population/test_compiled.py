"""The compiled evaluation gives the same results as the interpreted one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.errors import DnnRepairError
from dnnrepair.fitness import Arachne
from dnnrepair.population import EvaluatorSettings, prepare

if TYPE_CHECKING:
    from collections.abc import Callable


def check(case: Any, backend: str, seed: int, only: str = "") -> None:
    rng = torch.Generator().manual_seed(seed)
    places = case.places(6, rng, only)
    values = case.values(places, 7, 1.0, rng)
    fitness = Arachne(torch.rand(2, len(case.labels), generator=rng))
    both = torch.stack([values, values.flip(0)])
    found = []
    for compiled in (backend, ""):
        settings = EvaluatorSettings(compiled=compiled, chunk=3, block=10)
        evaluator = prepare(case.subject, places, case.samples, fitness, settings)
        found.append((evaluator(both), evaluator.verdicts(values)))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-6)
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("name", ["residual", "lstm", "attention", "pixels", "binary"])
def test_traced_functions_serve_every_block(name: str, cases: Callable[[str, int], Any]) -> None:
    check(cases(name, 13), "eager", 1)


@pytest.mark.parametrize("only", ["0.weight", "4."])
def test_head_and_hidden_layer_compile(only: str, mlp: Any) -> None:
    check(mlp, "aot_eager", 1, only)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler")
@pytest.mark.filterwarnings("ignore")  # of torch's own, while it compiles
def test_inductor_agrees(mlp: Any) -> None:
    check(mlp, "inductor", 2, "2.weight")


def test_an_unknown_backend_is_one_line(mlp: Any) -> None:
    with pytest.raises(DnnRepairError, match="cannot be compiled"):
        check(mlp, "no-such-backend", 0)
