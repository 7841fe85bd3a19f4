"""One use of weights in the network: what an operation, or a layer of it, computes from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Use(Protocol):
    """One use of weights, for n samples.

    An output is a sum of terms, one for each weight that leads to it. The forward impact of a
    weight is its terms' share in that sum, times the output's impact on what the network says.

    Attributes:
        key: tells it from the other uses in the network.
        samples: n.
    """

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def samples(self) -> int: ...  # noqa: D102

    @property
    def output(self) -> Tensor:
        """What it computed, a part of the network's differentiable run."""
        ...

    @property
    def pooled(self) -> bool:
        """Whether shares are of the sums over all samples, not of each sample's own."""
        ...

    def by_output(self, values: Tensor) -> Tensor:
        """Return values shaped as the output, ``(n, *outputs)``, steps in time added up."""
        ...

    def sums(self) -> Tensor:
        """Return the sums of the sizes of all terms, ``(n, *outputs)``."""
        ...

    def impact(self, scale: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each weight tensor, and for each weight the sum of its terms, scaled.

        Args:
            scale: of the terms of an output, ``(n, *outputs)`` or ``(1, *outputs)``.
        """
        ...
