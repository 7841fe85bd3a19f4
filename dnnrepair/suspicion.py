"""Suspected weights as data, for whoever shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One suspected weight.

    Attributes:
        layer: that it belongs to.
        tensor: its parameter, as in the state dict.
        index: within that, one number per dimension.
        value: of the weight.
        gradient_loss: size of the loss's gradient in it: negatives over 1 plus positives.
        forward_impact: its share in what the network says, likewise.
    """

    layer: str
    tensor: str
    index: tuple[int, ...]
    value: float
    gradient_loss: float
    forward_impact: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Localization:
    """What was found.

    Attributes:
        model: as the user named it.
        data: as the user named them.
        goal: what is to be fixed, in words.
        method: how suspects were chosen.
        negatives: number of inputs to be fixed.
        positives: number of inputs that are right, set against these.
        weights: number of weights among which the suspects were chosen.
        suspects: the most suspected first.
        notes: what the user should know, a sentence each.
    """

    model: str
    data: str
    goal: str
    method: str
    negatives: int
    positives: int
    weights: int
    suspects: tuple[Suspicion, ...]
    notes: tuple[str, ...] = ()
