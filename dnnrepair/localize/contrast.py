"""The inputs that a network gets right, chosen to stand beside those that it gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnnrepair.data import ArraySamples
    from dnnrepair.methods.method import Part


def contrast(
    part: Part, seed: int, *, all_positives: bool = False
) -> tuple[ArraySamples, ArraySamples]:
    """Return the inputs to be fixed, and about as many of those that are right.

    These are drawn from each class in proportion to its size, at least one of each, as in Arachne.

    Args:
        part: some of the data.
        seed: of the drawing.
        all_positives: take all that are right instead.
    """
