"""Activations with two flat sides: sigmoid and tanh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft, Wrap

if TYPE_CHECKING:
    from typing import Self


@activation("sigmoid")
@dataclass(frozen=True, kw_only=True)
class Sigmoid(Activation):
    """The logistic function, for gates and for probabilities at the output.

    Flat on both sides, never negative (the next layer sees inputs of one sign), and its slope is at
    most 1/4: gradients fade even under the right gain. In hidden layers tanh, which is the same
    function scaled and shifted, is better; either is outdone by ReLU and its kin in deep networks.
    """

    formula: ClassVar[str] = "1 / (1 + exp(-x))"
    reference: ClassVar[str] = "Verhulst 1845; Rumelhart, Hinton and Williams 1986"
    initializer: ClassVar[str] = "xavier_normal"
    kind: ClassVar[type[nn.Module]] = nn.Sigmoid
    compute = staticmethod(torch.sigmoid)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of tanh: tanh(x) = 2 sigmoid(2x) - 1."""
        return Graft(activation=cls(), wrap=Wrap(2, 2, 0, -1)) if old.name == "tanh" else None


@activation("tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    """The hyperbolic tangent, for recurrent cells and bounded outputs.

    Flat on both sides; its outputs have mean zero where its inputs have. A sigmoid turned into a
    tanh by the exact graft passes on outputs with mean zero once its wrap is folded away.
    """

    formula: ClassVar[str] = "tanh(x) = 2 sigmoid(2x) - 1"
    reference: ClassVar[str] = "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp"
    initializer: ClassVar[str] = "xavier_normal"
    kind: ClassVar[type[nn.Module]] = nn.Tanh
    compute = staticmethod(torch.tanh)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of a sigmoid: sigmoid(x) = tanh(x / 2) / 2 + 1/2."""
        wrap = Wrap(0.5, 0.5, 0, 0.5)
        return Graft(activation=cls(), wrap=wrap) if old.name == "sigmoid" else None
