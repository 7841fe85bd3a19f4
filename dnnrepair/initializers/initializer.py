"""What an initializer is, and which one suits which activation."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from dnnrepair.errors import ModelError, SettingError
from dnnrepair.initializers.fans import Fans, fans_of, weights_of
from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dnnrepair.activations import Activation


@dataclass(frozen=True, kw_only=True)
class Initializer:
    """A rule that draws a weight; its docstring says when to use it and where it comes from.

    Attributes:
        name: that it is filed under.
        formula: in one line.
        default_gain: where no activation says more.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    default_gain: ClassVar[float] = 1.0

    def draw(self, weight: Tensor, fans: Fans, gain: float, rng: torch.Generator) -> None:
        """Fill one matrix or kernel in place.

        Args:
            weight: one block, ``(out, in, ...)``, or ``(in, out, ...)`` with ``inputs_first``.
            fans: of it.
            gain: factor of its standard deviation.
            rng: on the weight's device.
        """
        raise NotImplementedError

    def fill(
        self, weight: Tensor, fans: Fans, *, gain: float | None = None, rng: torch.Generator
    ) -> None:
        """Fill a weight in place, block by block; the gain is the rule's own unless given.

        Raises:
            SettingError: if the gain is not a finite number of at least 0.
        """
        factor = self.default_gain if gain is None else gain
        if not 0 <= factor < float("inf"):
            message = f"the gain of {self.name} takes finite numbers of at least 0, not {gain}"
            raise SettingError(message)
        with torch.no_grad():
            for block in weight.chunk(fans.blocks):
                self.draw(block, fans, factor, rng)


initializers: Registry[type[Initializer]] = Registry("initializer", "dnnrepair.initializers")
_OTHER_NAMES = {
    "xavier": "xavier_normal",
    "glorot": "xavier_normal",
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "he": "he_normal",
    "kaiming": "he_normal",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "lecun": "lecun_normal",
}
I = TypeVar("I", bound=type[Initializer])  # noqa: E741 - as in activations


def initializer(name: str) -> Callable[[I], I]:
    """File an initializer under a name."""

    def filed(kind: I) -> I:
        kind.name = name
        initializers.file(name, kind)
        return kind

    return filed


def find(name: str) -> Initializer:
    """Return the initializer of that name; ``he`` is ``he_normal``, ``glorot`` is ``xavier``.

    Raises:
        UnknownNameError: if there is none; the nearest is suggested.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return initializers[_OTHER_NAMES.get(plain, plain)]()


@dataclass(frozen=True, slots=True)
class Matching:
    """The initializer that suits an activation, and its gain."""

    initializer: Initializer
    gain: float


def matching(activation: Activation) -> Matching:
    """Return how to draw the layer before an activation, so that the signal keeps its scale."""
    return Matching(find(activation.initializer), activation.gain)


def initialize(
    layer: nn.Module,
    how: Initializer,
    *,
    gain: float | None = None,
    rng: torch.Generator,
    biases: bool = True,
) -> None:
    """Draw all weights of one layer again, in place.

    Parametrized weights (weight norm) are set through their parametrization. The row of an
    embedding's padding stays zero.

    Args:
        layer: linear, convolutional, recurrent, attention or embedding.
        how: the rule.
        gain: factor of the standard deviation; the rule's own unless given.
        rng: on the layer's device.
        biases: set its biases to zero.

    Raises:
        ModelError: if the layer has no weights that can be drawn.
        SettingError: if the gain is not a finite number of at least 0.
    """
    weights = weights_of(layer)
    if not weights:
        message = f"{type(layer).__name__} has no weights to draw; name a linear, convolutional, "
        raise ModelError(message + "recurrent, attention or embedding layer")
    with torch.no_grad():
        for name, weight in weights.items():
            parametrized = parametrize.is_parametrized(layer, name)
            fresh = weight.clone() if parametrized else weight
            how.fill(fresh, fans_of(layer, name), gain=gain, rng=rng)
            if parametrized:
                setattr(layer, name, fresh)
        padding = getattr(layer, "padding_idx", None)
        if padding is not None:
            weights["weight"][padding] = 0
        for name, value in layer.named_parameters(recurse=False):
            if biases and "bias" in name:
                nn.init.zeros_(value)


def deviation(fans: Fans, mode: str, gain: float) -> float:
    """Return the standard deviation ``gain / sqrt(fan)``; mode is ``fan_in`` or ``average``."""
    fan = fans.fan_in if mode == "fan_in" else (fans.fan_in + fans.fan_out) / 2
    return gain / sqrt(fan)
