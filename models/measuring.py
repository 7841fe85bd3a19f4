"""Plain measurements of a reference network: what planting a fault of given strength needs.

Written with forward hooks and autograd only, so that they can serve as oracles of the tool itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dnnrepair.models.reference import Reference

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky": F.leaky_relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "selu": F.selu,
}
AFFINE = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d)
_GRADIENT_SAMPLES = 512
_HALVINGS = 24


def affine(reference: Reference, name: str) -> nn.Linear | nn.Conv2d | nn.ConvTranspose2d:
    """Return the linear or convolutional layer of that name."""
    layer = reference.module.get_submodule(name)
    assert isinstance(layer, AFFINE)  # noqa: S101 - callers take the name from affine_layers
    return layer


def batch_norm(reference: Reference, name: str) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Return the batch normalization of that name."""
    layer = reference.module.get_submodule(name)
    assert isinstance(layer, BATCH_NORM)  # noqa: S101 - callers take the name from batch_norms
    return layer


def outputs(reference: Reference, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return what layers put out on the data, by name in order of execution.

    Args:
        reference: the network with its data.
        names: of the layers; all by default.
    """
    return _recorded(reference, names, after=True)


def inputs(reference: Reference, names: Iterable[str]) -> dict[str, Tensor]:
    """Return what layers are given on the data."""
    return _recorded(reference, names, after=False)


def _recorded(
    reference: Reference, names: Iterable[str] | None, *, after: bool
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[Any, ...], put: Any = None) -> None:  # noqa: ANN401
            value = put if after else given
            found[name] = value[0] if isinstance(value, tuple) else value

        return hook

    chosen = dict(reference.module.named_modules())
    hooks = []
    for name in names if names is not None else chosen:
        layer = chosen[name]
        register = layer.register_forward_hook if after else layer.register_forward_pre_hook
        hooks.append(register(note(name)))
    try:
        with torch.no_grad():
            reference.module(*reference.inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def by_unit(value: Tensor) -> Tensor:
    """Return ``(rows, units)``: positions of images and sequences are rows of their own."""
    images = 4
    return value.movedim(1, -1).flatten(0, -2) if value.dim() == images else value.flatten(0, -2)


def affine_layers(reference: Reference) -> tuple[str, ...]:
    """Return the linear and convolutional layers but the head, in order of execution."""
    kinds = dict(reference.module.named_modules())
    ran = [name for name in outputs(reference) if isinstance(kinds[name], AFFINE)]
    return tuple(name for name in ran if name != reference.recipe.head)


def hidden_affine(reference: Reference) -> tuple[str, ...]:
    """Return the layers whose output, normalized or not, enters an activation."""
    kinds = dict(reference.module.named_modules())
    found, latest = [], ""
    for name in outputs(reference):
        if isinstance(kinds[name], AFFINE):
            latest = name
        if name in reference.recipe.hidden:
            found.append(latest)
    return tuple(found)


def batch_norms(reference: Reference) -> tuple[str, ...]:
    """Return the names of the batch normalizations, in order of definition."""
    named = reference.module.named_modules()
    return tuple(name for name, layer in named if isinstance(layer, BATCH_NORM))


def layer_norms(reference: Reference) -> tuple[str, ...]:
    """Return the names of the layer normalizations, in order of definition."""
    named = reference.module.named_modules()
    return tuple(name for name, layer in named if isinstance(layer, nn.LayerNorm))


def units_first(layer: nn.Module) -> Tensor:
    """Return a view of a layer's weights ``(units, ...)``; changing it changes the layer."""
    weight = layer.weight
    assert isinstance(weight, Tensor)  # noqa: S101 - of every affine layer
    weight = weight.detach()
    return weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight


def fan_in(weight: Tensor) -> int:
    """Return the inputs of one unit, from weights ``(units, ...)``."""
    return weight[0].numel()


def slope(activation: str, z: Tensor) -> Tensor:
    """Return the derivative of an activation at ``z``, of the same shape."""
    with torch.enable_grad():
        point = z.detach().requires_grad_()
        return torch.autograd.grad(ACTIVATIONS[activation](point).sum(), point)[0]


def mean_loss(reference: Reference, samples: int = _GRADIENT_SAMPLES) -> Tensor:
    """Return the loss on the first samples, a scalar tensor with a graph."""
    targets = reference.targets
    assert targets is not None  # noqa: S101 - of every reference network
    output = reference.module(*(x[:samples] for x in reference.inputs))
    loss = F.mse_loss if reference.task == "regress" else F.cross_entropy
    return loss(output, targets[:samples])


def weight_gradients(reference: Reference) -> dict[str, tuple[Tensor, Tensor]]:
    """Return (gradient, weight) of each affine layer and the head, in order of execution."""
    names = [*affine_layers(reference), reference.recipe.head]
    weights = [affine(reference, name).weight for name in names]
    with torch.enable_grad():
        found = torch.autograd.grad(mean_loss(reference), weights, allow_unused=True)
    pairs = zip(names, found, weights, strict=True)
    return {name: (torch.zeros_like(w) if g is None else g, w.detach()) for name, g, w in pairs}


def solve(measured: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Return where ``measured``, monotone in the logarithm of its argument, reaches ``target``.

    Bisection between ``low`` and ``high``, both positive; the nearer end if it does not reach it.
    """
    rising = measured(high) > measured(low)
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if (measured(middle) < target) == rising:
            low = middle
        else:
            high = middle
    return high


def pick(options: Sequence[str], rng: torch.Generator) -> str:
    """Return one of the names at random."""
    return options[int(torch.randint(len(options), (), generator=rng))]


def some(count: int, share: float, rng: torch.Generator) -> Tensor:
    """Return the numbers of ``share`` of ``count`` units, at least one, at random."""
    wanted = min(count, max(1, -int(-share * count // 1)))
    return torch.randperm(count, generator=rng)[:wanted]
