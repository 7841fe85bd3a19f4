"""Replacing an activation by another without changing the function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.activations.activation import activations, find

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.activations.activation import Activation

Piece = tuple[float, float]  # scale and shift


@dataclass(frozen=True, slots=True)
class Wrap:
    """The four numbers of ``alpha f(beta x + gamma) + delta``.

    Between two affine layers they fold away: W1' = beta W1, b1' = beta b1 + gamma, W2' = alpha W2,
    b2' = b2 + W2 delta (with the old W2). Where the next layer pads with zeros, delta must be 0.
    """

    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 0.0
    delta: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it changes nothing."""
        return self == Wrap()

    def apply(self, activation: Activation, x: Tensor) -> Tensor:
        """Return ``alpha f(beta x + gamma) + delta``, in the shape of ``x``."""
        return self.alpha * activation.function(self.beta * x + self.gamma) + self.delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Graft:
    """How one activation takes the place of another.

    Attributes:
        activation: the new one, with the settings that make it equal the old one.
        wrap: numbers around it.
        pieces: (scale, shift) for each of the new one's :attr:`Activation.inputs`: where the layer
            before it gave z, it now gives ``scale z + shift`` for each piece, as blocks along
            dimension 1: weights ``scale W``, biases ``scale b + shift``. Weights of a piece with
            scale 0 are zero and trainable.
    """

    activation: Activation
    wrap: Wrap = Wrap()
    pieces: tuple[Piece, ...] = ((1.0, 0.0),)

    def apply(self, z: Tensor) -> Tensor:
        """Return what the new one makes of the old one's pre-activations ``(N, C, ...)``."""
        import torch

        inputs = torch.cat([scale * z + shift for scale, shift in self.pieces], dim=1)
        return self.wrap.apply(self.activation, z if len(self.pieces) == 1 else inputs)


def exact(old: Activation, new: str) -> Graft | None:
    """Return the graft that changes no output, None if there is none.

    Args:
        old: with its settings.
        new: name of the one that takes its place.

    Raises:
        UnknownNameError: if there is no activation ``new``; the nearest is suggested.
    """
    name = find(new).name
    if name == old.name:
        return Graft(activation=old)
    return activations[name].imitating(old)


def wrapped(activation: Activation, wrap: Wrap) -> Activation:
    """Return ``alpha f(beta x + gamma) + delta`` as an activation, its numbers learnable."""
    from dnnrepair.activations.taaf import Taaf

    if wrap.plain:
        return activation
    return Taaf(base=activation, alpha=wrap.alpha, beta=wrap.beta, gamma=wrap.gamma,
                delta=wrap.delta)  # fmt: skip
