"""From a spec such as ``cnn+dead-units@strong`` to a network with its data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from dnnrepair.errors import ModelError
from dnnrepair.models.recipe import Recipe, fresh, networks, train
from dnnrepair.models.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor, nn

    State = dict[str, Tensor]

_KEPT = 256  # trained networks kept in memory


def build_spec(spec: str, *, seed: int = 0, cache: Path | None = None) -> Reference:
    """Return the network that ``spec`` describes; see :func:`dnnrepair.models.build`."""
    first, *changes = spec.split("+")
    name, _, state = first.partition(":")
    if state not in ("", "init"):
        message = f"{spec!r} asks for the state {state!r} of {name!r}; known: init"
        raise ModelError(message)
    reference = plain(name, seed=seed, trained=not state, cache=cache)
    for change in changes:
        reference = _changed(reference, change)
    return replace(reference, name=spec)


def plain(
    name: str, *, seed: int = 0, trained: bool = True, cache: Path | None = None
) -> Reference:
    """Return an unharmed reference network."""
    recipe = networks[name]
    module = fresh(recipe, seed)
    if trained:
        module.load_state_dict(_trained(name, seed, cache))
    return assemble(name, recipe, module, seed=seed, trained=trained)


def assemble(
    name: str, recipe: Recipe, module: nn.Module, *, seed: int, trained: bool = True
) -> Reference:
    """Return a network with the test part of its recipe's data."""
    data = recipe.data()
    reference = Reference(
        name=name,
        module=module,
        inputs=(data.test_inputs,),
        targets=data.test_targets,
        task=recipe.task,
        loss=recipe.loss,
        trained=trained,
        accuracy=None,
        recipe=recipe,
        seed=seed,
    )
    return replace(reference, accuracy=accuracy(reference) if trained else None)


def accuracy(reference: Reference) -> float | None:
    """Return the share of right answers, R^2 for regression, None for a generator."""
    if reference.targets is None or reference.task == "generate":
        return None
    with torch.no_grad():
        output = reference.module(*reference.inputs)
    if reference.task == "classify":
        return float((output.argmax(dim=-1) == reference.targets).double().mean())
    error = (output - reference.targets).square().mean()
    return float(1 - error / reference.targets.var(correction=0))


def _changed(reference: Reference, change: str) -> Reference:
    from dnnrepair.models.faults import plant
    from dnnrepair.models.lookalikes import disguise

    if change.startswith("look:"):
        return disguise(reference, change.removeprefix("look:"))
    name, _, strength = change.partition("@")
    return plant(reference, name, strength or "medium")


def _trained(name: str, seed: int, cache: Path | None) -> State:
    if cache is None:
        return _trained_here(name, seed)
    file = cache / f"{name}-{seed}-{_sources()}.safetensors"
    if file.exists():
        return load_file(file)
    state = _trained_here(name, seed)
    cache.mkdir(parents=True, exist_ok=True)
    save_file(state, file)
    return state


@lru_cache
def _sources() -> str:
    """Return a digest of whatever decides what training gives."""
    found = hashlib.sha256(torch.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


@lru_cache(maxsize=_KEPT)
def _trained_here(name: str, seed: int) -> State:
    return train(networks[name], seed).state_dict()
