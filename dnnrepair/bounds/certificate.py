"""Certify the samples whose verdict no candidate of a search can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from dnnrepair.bounds.margins import logits_of, margins_of
from dnnrepair.bounds.patched import patch
from dnnrepair.bounds.remainders import telling_size
from dnnrepair.bounds.rule import UnboundedError
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dnnrepair.program import GraphProgram

_ROWS = 512  # samples times parts of a zonotope that are computed at once


@dataclass(frozen=True, slots=True)
class Certified:
    """What the bounds say.

    Attributes:
        correct: samples that every candidate gets right, ``(n,)``.
        reason: why none could be certified; empty if the bounds were computed.
    """

    correct: Tensor
    reason: str = ""


def certify(
    program: GraphProgram,
    places: Sequence[tuple[str, int]],
    low: Tensor,
    high: Tensor,
    inputs: Sequence[Tensor],
    labels: Tensor,
    *,
    halvings: int = 4,
) -> Certified:
    """Return the samples that stay correct wherever in the box the weights lie.

    Correct means that the label's logit is at least every other. Plain intervals screen the
    samples first. Zonotopes, which cost a forward pass per place, take the rest, and what they
    leave open is decided by a backward pass per class in question. What is open even then is tried
    again on the two halves of the box, cut across the place that moves the logits most.

    Args:
        program: the network, in evaluation mode.
        places: the changed weights as tensor name and flat index, k of them.
        low: their least values, ``(k,)``.
        high: their greatest values, ``(k,)``.
        inputs: one tensor per input, ``(n, ...)``.
        labels: class of each sample, ``(n,)``.
        halvings: how often a box is cut at most; a sample is given up at the first piece that
            stays open.

    Raises:
        SettingError: a place does not exist or is named twice, or the box is empty.
    """
    _check(program.tensors, places, low, high)
    search = _Search(program, tuple(places), tuple(inputs), labels)
    correct = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    try:
        every = torch.arange(len(labels), device=labels.device)
        certain, *_ = search.bounded(_Box(low, high), every, joint=False)
        correct[every[certain]] = True
        correct[search.settled(_Box(low, high), every[~certain], halvings)] = True
    except UnboundedError as error:
        return Certified(torch.zeros_like(correct), str(error))
    return Certified(correct)


@dataclass(frozen=True, slots=True)
class _Box:
    """Values from ``low`` to ``high``, ``(k,)`` each."""

    low: Tensor
    high: Tensor

    def halves(self, place: int) -> Iterator[_Box]:
        """Yield the two halves across a place; they share the cut, so nothing falls between."""
        middle = torch.lerp(self.low[place], self.high[place], 0.5)
        upper, lower = self.low.clone(), self.high.clone()
        upper[place] = lower[place] = middle
        yield _Box(self.low, lower)
        yield _Box(upper, self.high)


@dataclass(frozen=True, slots=True)
class _Search:
    program: GraphProgram
    places: tuple[tuple[str, int], ...]
    inputs: tuple[Tensor, ...]
    labels: Tensor

    def settled(self, box: _Box, samples: Tensor, halvings: int) -> Tensor:
        """Return which of the samples (by index) are correct all over the box."""
        if not len(samples):
            return samples
        certain, hope, influence = self.bounded(box, samples, joint=True)
        rest = samples[~certain & hope]
        if not halvings:
            return samples[certain]
        for half in box.halves(int(influence.argmax())):
            rest = self.settled(half, rest, halvings - 1)
        return torch.cat([samples[certain], rest])

    def bounded(self, box: _Box, samples: Tensor, *, joint: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return which samples are certain, which may become so, and each place's influence."""
        tensors = self.program.tensors
        weights = patch(tensors, self.places, box.low, box.high, joint=joint)
        values = cast("Mapping[str, Tensor]", weights)
        rows = max(1, _ROWS // (len(self.places) * joint + 2))
        rows = min(rows, self.program.batch_size or rows)
        certain, hope = torch.zeros(2, len(samples), dtype=torch.bool, device=samples.device)
        influence = torch.zeros(len(self.places), dtype=torch.float64)
        for part in torch.arange(len(samples), device=samples.device).split(rows):
            size = self.program.batch_size or telling_size(self.program, len(part))
            index = samples[part[torch.arange(size, device=part.device) % len(part)]]
            with torch.set_grad_enabled(joint):
                found: object = self.program.run([x[index] for x in self.inputs], tensors=values)
                logits = logits_of(found)
                margins, open_to = margins_of(
                    logits, self.labels[index], by_sample=self.program.batch_size is None
                )
            certain[part] = margins[: len(part)] > 0
            hope[part] = open_to[: len(part)]
            moved = logits.slopes.abs().sum((1, 2)).double().cpu()
            influence[: len(moved)] += moved.nan_to_num()
        return certain, hope, influence


def _check(
    tensors: Mapping[str, Tensor], places: Sequence[tuple[str, int]], low: Tensor, high: Tensor
) -> None:
    if not len(places) == len(low) == len(high) > 0:
        message = f"{len(places)} places, but {len(low)} least and {len(high)} greatest values"
        raise SettingError(message)
    if len(set(places)) < len(places):
        message = "a place is named twice; name each weight once"
        raise SettingError(message)
    for name, index in places:
        tensor = tensors.get(name)
        if tensor is None or not 0 <= index < tensor.numel() or not tensor.is_floating_point():
            message = f"there is no weight {index} in {name!r}; take places from the network"
            raise SettingError(message)
    if not bool((low <= high).all() & low.isfinite().all() & high.isfinite().all()):
        message = "the box is empty or not finite; give low <= high for every place"
        raise SettingError(message)
