"""Multilayer perceptrons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class MLP(nn.Module):
    """Linear layers, each but the last followed by an activation."""

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        *,
        normalized: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """Make ``hidden`` wide layers; ``normalized`` puts a LayerNorm before activations."""
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(nn.Linear(inputs, width))
            if normalized:
                layers.append(nn.LayerNorm(width))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs)`` from ``(N, inputs)``."""
        y: Tensor = self.head(self.layers(x))
        return y


def scaled_for(network: nn.Module, nonlinearity: str) -> nn.Module:
    """Draw hidden weights as He et al. 2015 (relu) or with gain 5/3 (tanh), biases zero.

    Torch's own default (variance 1 / (3 fan_in)) starves networks deeper than six layers.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            if nonlinearity == "relu":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain("tanh"))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
