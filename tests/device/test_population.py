"""Populations are evaluated on a device as the module itself answers on the CPU."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.bench import contest, population_cuda, workloads
from dnnrepair.bench.recipes import RECIPES, Recipe
from dnnrepair.fitness import Arachne, Regression
from dnnrepair.models.recipe import fresh, networks
from dnnrepair.population import EvaluatorSettings, batched, naive, prepare
from dnnrepair.subject import subject_of
from tests.device import emulated
from tests.population.conftest import NETWORKS, make_case
from tests.population.test_exact import agreement, module_places

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dnnrepair.fitness import Fitness
    from dnnrepair.population import Place

REFERENCES = [name for name in networks if networks[name].task != "generate"]
SETTINGS = (
    EvaluatorSettings(),
    EvaluatorSettings(fused=True),
    EvaluatorSettings(chunk=2, block=16),
    EvaluatorSettings(memory=0),
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections", "ignore:There is a performance drop"
)


class Both:
    """One network on the CPU and on a device."""

    def __init__(self, module: nn.Module, data: Any, device: torch.device, **about: Any) -> None:
        self.here = subject_of(module, data, **about)
        self.there = subject_of(deepcopy(module).to(device), data, **about)
        self.regress = about["task"] == "regress"
        rng = torch.Generator().manual_seed(0)
        self.places: list[Place] = module_places(module, 8, rng)
        assert self.here.samples is not None
        assert self.here.samples.size is not None
        self.samples = self.here.samples
        self.weights = torch.rand(self.here.samples.size, generator=rng)
        oracle = naive(self.here, self.places, self.samples, self.fitness())
        self.values = oracle.originals + 0.2 * torch.randn(5, len(self.places), generator=rng)
        self.logits, self.right = oracle.logits(self.values), oracle.verdicts(self.values)
        self.wanted = oracle(self.values)

    def fitness(self) -> Fitness:
        return Regression(self.weights, 0.5) if self.regress else Arachne(self.weights)

    def check(self, settings: EvaluatorSettings, device: torch.device) -> None:
        evaluator = prepare(self.there, self.places, self.samples, self.fitness(), settings)
        assert settings.box is not None or not evaluator.notes
        values = self.values.to(device)
        found = evaluator(values)
        assert found.device == device
        torch.testing.assert_close(found.cpu(), self.wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(evaluator.verdicts(values).cpu(), self.right)
        if settings.box is None:
            agreement(evaluator.logits(values).cpu(), self.logits, 1e-5)
        least = self.wanted.sort().values[1:3].mean()  # between two candidates
        kept = evaluator(values, least.expand(len(values)).to(device)).cpu() >= least
        assert torch.equal(kept, self.wanted >= least)

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        return self.values.amin(0), self.values.amax(0)


def both_of(name: str, device: torch.device) -> Both:
    if name in NETWORKS:
        case = make_case(name)
        return Both(case.module, (case.inputs, case.labels), device, task="classify")
    recipe = networks[name.removeprefix("models:")]
    data = recipe.data()
    some = (data.test_inputs[:40], data.test_targets[:40])
    return Both(fresh(recipe, 0), some, device, task=recipe.task, loss=recipe.loss)


@pytest.mark.parametrize("name", [*NETWORKS, *(f"models:{name}" for name in REFERENCES)])
def test_it_answers_as_the_cpu_does(device: torch.device, name: str) -> None:
    both = both_of(name, device)
    for settings in SETTINGS:
        both.check(settings, device)
    low, high = both.box
    for where in (torch.device("cpu"), device):
        box = (low.to(where), high.to(where))
        both.check(EvaluatorSettings(box=box, halvings=2), device)


def test_the_naive_loop_runs_on_the_device(device: torch.device) -> None:
    both = both_of("mlp", device)
    oracle = naive(both.there, both.places, both.samples, both.fitness())
    found = oracle(both.values.to(device))
    assert found.device == device
    torch.testing.assert_close(found.cpu(), both.wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", [*RECIPES, population_cuda.DENSE], ids=lambda r: r.name)
def test_no_generation_waits(
    device: torch.device, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device.type == "cuda":
        pytest.skip("captured in the benchmark's test")
    workload = workloads.prepare(recipe, 64, 0)
    workload = replace(workload, module=workload.module.to(device))
    evaluator = contest.prepared(workload)
    step = population_cuda.generation(workload, evaluator, 8, device, [])
    step()
    monkeypatch.setattr(
        batched, "check_values", lambda *_: None
    )  # it does not look while capturing
    with emulated.capturing():
        step()


@pytest.mark.parametrize("name", ["head", "hidden", "conv, 9 channels", "lstm"])
def test_the_benchmark_measures_whole_generations(device: torch.device, name: str) -> None:
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    for row in population_cuda.rows_of(recipe, 64, (4, 8), device, 0):
        assert row.rate > 0
        assert row.difference < 1e-5
        assert not row.notes
