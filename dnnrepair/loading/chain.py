"""A plain chain of layers under the names that its state dict uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dnnrepair.loading.infer import Layer

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
_CONV: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Chain(nn.Module):
    """Linear, convolution and BatchNorm layers one after the other, an activation between.

    Args:
        layers: in order; a norm belongs to the layer before it.
        activation: a name in :data:`ACTIVATIONS`; None for none.
    """

    def __init__(self, layers: Sequence[Layer], activation: str | None) -> None:
        """Build the layers; their values are to be loaded."""
        super().__init__()
        self._activation = activation
        self._layers = tuple(layers)
        spatial = 0
        for layer in layers:
            spatial = len(layer.kernel) if layer.kind != "norm" else spatial
            self._place(layer.name, _build(layer, spatial))

    def forward(self, values: Tensor) -> Tensor:
        """Return the prediction, ``(N, out)``, for ``values`` of shape ``(N, in, ...)``."""
        for layer, after in self._steps():
            if layer.kind == "linear" and values.ndim > 2:  # noqa: PLR2004 - (N, channels, space)
                first = layer is self._layers[0]
                values = values.flatten(1) if first else values.flatten(2).mean(2)
            values = self.get_submodule(layer.name)(values)
            if after and self._activation is not None:
                values = ACTIVATIONS[self._activation](values)
        return values

    def _steps(self) -> Iterator[tuple[Layer, bool]]:
        """Yield each layer and whether an activation follows: before the next matrix."""
        for index, layer in enumerate(self._layers):
            following = self._layers[index + 1 : index + 2]
            yield layer, any(after.kind != "norm" for after in following)

    def _place(self, name: str, module: nn.Module) -> None:
        parent: nn.Module = self
        *path, leaf = name.split(".")
        for part in path:
            if part not in dict(parent.named_children()):
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(leaf, module)


def _build(layer: Layer, spatial: int) -> nn.Module:
    settings: dict[str, Any] = {"bias": layer.bias}
    if layer.kind == "linear":
        return nn.Linear(layer.wide_in, layer.wide_out, **settings)
    if layer.kind == "conv":
        padding = tuple(size // 2 for size in layer.kernel)
        convolution = _CONV[spatial]
        return convolution(layer.wide_in, layer.wide_out, layer.kernel, padding=padding, **settings)
    norms = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
    return norms.get(spatial, nn.BatchNorm1d)(layer.wide_out)
