"""An architecture from weights alone: only where names and widths leave no choice.

Activations, strides, padding and pooling leave no trace in weights, so the user names the
activation, and a convolution is taken only where it can be of one kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import ModelError
from dnnrepair.loading.chain import ACTIVATIONS, Chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn

_NORM = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
_GIVE = "name the architecture with --arch package.module:Factory"
_ONLY = "no architecture, only the weights were examined"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer as its tensors tell it: kind "linear", "conv" or "norm", and its widths."""

    name: str
    kind: str
    wide_in: int
    wide_out: int
    kernel: tuple[int, ...] = ()
    bias: bool = True


def infer(state: Mapping[str, Tensor], arch: str | None) -> tuple[nn.Module | None, str]:
    """Return the network of a plain chain of layers, or None, and what the user should know.

    Args:
        state: tensors by name.
        arch: ``auto:ACTIVATION``; None if the user said nothing, and then only a chain without
            any activation is certain.

    Raises:
        ModelError: no such activation, or ``auto`` for what is no plain chain.
    """
    activation = _activation(arch)
    layers, reason = _read_chain(state)
    if layers is None and arch is not None:
        message = f"--arch {arch}: {reason}; {_GIVE}"
        raise ModelError(message)
    if layers is None:
        return None, f"{_ONLY} ({reason}); {_GIVE}"
    widths = "-".join(str(w) for w in _widths(layers))
    if len(layers) > 1 and activation is None:
        return None, (
            f"{_ONLY}; the tensors look like a plain chain of widths {widths}: "
            "name its activation with --arch auto:relu (or gelu, tanh, ...)"
        )
    with torch.random.fork_rng(devices=[]):
        module = Chain(layers, activation)
    module.load_state_dict(dict(state), strict=False)
    assumed = "".join(f", {text}" for text in _assumptions(layers, activation))
    return module, f"inferred a plain chain of widths {widths} from the weights{assumed}"


def _activation(arch: str | None) -> str | None:
    if arch is None:
        return None
    name = arch.removeprefix("auto:")
    if name not in ACTIVATIONS:
        message = f"--arch {arch!r}: no activation {name!r}; known: {', '.join(ACTIVATIONS)}"
        raise ModelError(message)
    return name


def _read_chain(state: Mapping[str, Tensor]) -> tuple[list[Layer] | None, str]:
    """Return the layers in order, or None and why there is no certain order."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        name, _, leaf = key.rpartition(".")
        groups.setdefault(name, {})[leaf] = value
    layers = []
    for name, tensors in groups.items():
        layer = _read_layer(name, tensors)
        if layer is None:
            return None, f"{name or 'the top'!r} is no Linear, Conv or BatchNorm"
        layers.append(layer)
    natural = sorted(layers, key=_natural)
    stems = {re.sub(r"\d+$", "#", layer.name) for layer in layers}  # net.0, net.2: one stem
    numbered = len(stems) == 1 and "#" in min(stems)
    orders = [o for o in ((natural,) if numbered else (layers, natural)) if not _break(o)]
    if not orders:
        return None, _break(layers)
    if any(order != orders[0] for order in orders):
        return None, "the layers fit together in more than one order"
    return orders[0], ""


def _read_layer(name: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    weight = tensors.get("weight")
    if weight is None or tensors.keys() - _NORM or not name:
        return None
    bias = tensors.get("bias")
    if bias is not None and bias.shape != weight.shape[:1]:
        return None
    out = weight.shape[0]
    if "running_mean" in tensors and weight.ndim == 1:
        return Layer(name=name, kind="norm", wide_in=out, wide_out=out)
    if tensors.keys() - {"weight", "bias"} or weight.ndim not in (2, 3, 4, 5):
        return None
    if weight.ndim == 2 and bias is None:  # noqa: PLR2004 - could be an embedding as well
        return None
    kind = "linear" if weight.ndim == 2 else "conv"  # noqa: PLR2004 - (out, in)
    return Layer(
        name=name,
        kind=kind,
        wide_in=weight.shape[1],
        wide_out=out,
        kernel=tuple(weight.shape[2:]),
        bias=bias is not None,
    )


def _break(layers: Iterable[Layer]) -> str:
    """Return where a chain of layers does not fit together, "" if it does everywhere."""
    before: Layer | None = None
    for layer in layers:
        if before is None and layer.kind == "norm":
            return f"what feeds {layer.name!r} is unknown"
        if before is not None and layer.kind == "conv" and before.kind == "linear":
            return f"a convolution {layer.name!r} after a linear layer"
        if layer.kind == "conv" and any(size % 2 == 0 for size in layer.kernel):
            return f"the padding of {layer.name!r} is unknown"
        if before is not None and before.wide_out != layer.wide_in:
            return _gap(before, layer)
        before = layer if before is None or layer.kind != "norm" else _behind(before, layer)
    return ""


def _behind(before: Layer, norm: Layer) -> Layer:
    return Layer(name=norm.name, kind=before.kind, wide_in=norm.wide_in, wide_out=norm.wide_out)


def _gap(before: Layer, layer: Layer) -> str:
    if before.kind == "conv" and layer.kind == "linear":
        return f"how {before.wide_out} channels become {layer.wide_in} inputs of {layer.name!r}"
    return (
        f"{before.name!r} gives {before.wide_out} values and {layer.name!r} takes {layer.wide_in}"
    )


def _natural(layer: Layer) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", layer.name)
    return [(1, int(part)) if part.isdecimal() else (0, part) for part in parts]


def _widths(layers: Iterable[Layer]) -> list[int]:
    matrices = [layer for layer in layers if layer.kind != "norm"]
    return [matrices[0].wide_in, *(layer.wide_out for layer in matrices)]


def _assumptions(layers: Iterable[Layer], activation: str | None) -> Iterable[str]:
    kinds = [layer.kind for layer in layers]
    if activation:
        yield f"with {activation} between, as --arch says"
    if "conv" in kinds:
        yield "assuming stride 1, padding that keeps the size and no pooling between"
    if "conv" in kinds and "linear" in kinds:
        yield "and global average pooling before the first linear layer"
