"""The inputs that a network gets right, chosen to stand beside those that it gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.data import ArraySamples
    from dnnrepair.methods.method import Part

    Positions = NDArray[np.int64]


def contrast(
    part: Part, seed: int, *, all_positives: bool = False
) -> tuple[ArraySamples, ArraySamples]:
    """Return the inputs to be fixed, and about as many of those that are right.

    Args:
        part: some of the data.
        seed: of the drawing.
        all_positives: take all that are right instead.
    """
    targets, right = (np.flatnonzero(mask.cpu().numpy()) for mask in (part.targets, part.correct))
    if not all_positives:
        labels = _labels(part.samples)[right]
        right = right[drawn(labels, len(targets), np.random.default_rng(seed))]
    name = part.samples.name
    return (
        part.samples.subset(targets, f"{name}, to be fixed"),
        part.samples.subset(right, f"{name}, right"),
    )


def drawn(labels: NDArray[np.generic], count: int, rng: np.random.Generator) -> Positions:
    """Return the positions of about ``count`` labels, in order.

    Each class gives in proportion to its size, and at least one, as in Arachne.

    Args:
        labels: ``(n,)``.
        count: how many; all are taken if there are no more.
        rng: draws within each class.
    """
    if count >= len(labels):
        return np.arange(len(labels))
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    chosen = [
        rng.choice(group, max(1, round(count * len(group) / len(labels))), replace=False)
        for group in groups
    ]
    return np.sort(np.concatenate(chosen))


def _labels(samples: ArraySamples) -> NDArray[np.generic]:
    """Return a class for each sample: of token labels the first, of values the same for all."""
    targets = samples.targets
    if targets is None or targets.is_floating_point():
        return np.zeros(samples.size, np.int64)
    found: NDArray[np.generic] = targets.reshape(samples.size, -1)[:, 0].numpy()
    return found
