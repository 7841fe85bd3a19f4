"""The rivals of the evaluator agree with each other and leave the network as it was."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch.nn import functional as F

from dnnrepair.bench import loops
from dnnrepair.bench.recipes import RECIPES, Recipe
from dnnrepair.bench.workloads import ALPHA, Workload, prepare

by_name = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
SAMPLES = 20


@cache
def made(recipe: Recipe) -> Workload:
    return prepare(recipe, SAMPLES, seed=0)


def oracle(workload: Workload, values: torch.Tensor) -> tuple[list[float], list[list[bool]]]:
    """Return fitness and verdicts from a copy of the network, one input at a time."""
    fitness, verdicts = [], []
    for candidate in values.tolist():
        state = {name: value.clone() for name, value in workload.module.state_dict().items()}
        for place, value in zip(workload.places, candidate, strict=True):
            state[place.tensor][place.index] = value
        network = workload.recipe.make().eval()
        network.load_state_dict(state)
        logits = torch.cat([network(x) for x in workload.inputs.split(1)]).detach().double()
        labeled = zip(logits, workload.labels, strict=True)
        right = [bool(row[label] == row.max()) for row, label in labeled]
        loss = F.cross_entropy(logits, workload.labels, reduction="none").tolist()
        terms = [1.0 if ok else 1 / (1 + each) for ok, each in zip(right, loss, strict=True)]
        fitness.append(sum(w * t for w, t in zip(workload.weights.tolist(), terms, strict=True)))
        verdicts.append(right)
    return fitness, verdicts


@by_name
def test_all_loops_agree_with_a_copy_that_sees_one_input_at_a_time(recipe: Recipe) -> None:
    workload = made(recipe)
    values = workload.candidates(3, seed=1)
    before = {name: value.clone() for name, value in workload.module.state_dict().items()}
    fitness, verdicts = oracle(workload, values)
    found = {
        "naive": loops.naive(workload),
        "naive, blocked": loops.naive(workload, 8),
        "cached": loops.cached_prefix(workload),
        "cached, blocked": loops.cached_prefix(workload, 8),
        "vmap": loops.vmap(workload, 2),
    }
    if recipe.no_vmap:
        with pytest.raises(RuntimeError, match="Batching rule not implemented"):
            found.pop("vmap")(values)
    for name, loop in found.items():
        answer = loop(values)
        assert answer.fitness.tolist() == pytest.approx(fitness, rel=1e-5), name
        assert answer.verdicts.tolist() == verdicts, name
    after = workload.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@by_name
def test_candidates_change_the_fitness(recipe: Recipe) -> None:
    workload = made(recipe)
    fitness = loops.cached_prefix(workload)(workload.candidates(2, seed=1)).fitness
    original = float((workload.weights == 1).sum())
    assert len({original, *fitness.tolist()}) == 3


@by_name
def test_nine_of_ten_labels_are_right_and_places_are_where_they_should_be(recipe: Recipe) -> None:
    workload = made(recipe)
    with torch.no_grad():
        right = workload.module(workload.inputs).argmax(1) == workload.labels
    assert int(right.sum()) == SAMPLES * 9 // 10
    assert torch.equal(right, workload.weights != ALPHA)
    assert len(set(workload.places)) == 10
    rows = {place.index[0] for place in workload.places}
    assert len(rows) == recipe.rows or not recipe.rows
    assert {place.tensor for place in workload.places} == set(recipe.layers)


def test_a_workload_and_its_candidates_depend_on_the_seed_alone() -> None:
    first, again, other = (prepare(RECIPES[0], SAMPLES, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.inputs, again.inputs)
    assert (first.places, first.labels.tolist()) == (again.places, again.labels.tolist())
    assert first.places != other.places
    assert torch.equal(first.candidates(5, seed=2)[:2], again.candidates(2, seed=2))


def test_vmap_takes_fewer_candidates_at_a_time_where_more_varies() -> None:
    sizes = {r.name: loops.vmap_chunk(made(r)) for r in RECIPES[:3]}
    assert sizes["head"] > sizes["hidden"]
    assert sizes["head"] > sizes["conv, 2 channels"]
    assert loops.vmap_chunk(made(RECIPES[2])) * SAMPLES * 25088 * 4 < loops.VMAP_MEMORY
