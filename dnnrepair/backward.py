"""The weights that a gradient meets on its way back, as the GRD rules look at them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.evidence.gradient import Gradient
from dnnrepair.observation import Role
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.observation import Observations, TensorInfo
    from dnnrepair.sites import Site

_MATRICES = (Role.WEIGHT, Role.RECURRENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A weight matrix or kernel and its gradient.

    Attributes:
        info: which tensor.
        site: the first operation that reads it.
        gradient: of the mean loss.
        normalized: a normalization follows, so that the scale of the weight has no meaning.
    """

    info: TensorInfo
    site: Site
    gradient: Gradient
    normalized: bool

    @property
    def pull(self) -> float:
        """Norm of the gradient times that of the weight: free of the weight's unit of measure."""
        return self.gradient.norm * self.gradient.weight_norm


def weights(seen: Observations) -> tuple[Weight, ...]:
    """Return the weights with a finite gradient that is not zero, in execution order.

    Embeddings, frozen weights and weights that are zero are left out.
    """
    found = [
        Weight(
            info=info,
            site=seen.sites[info.site],
            gradient=gradient,
            normalized=is_normalized(seen, seen.sites[info.site]),
        )
        for name, gradient in seen.of(Gradient).items()
        if (info := seen.tensors[name]).role in _MATRICES and info.site in seen.sites
        if not gradient.vanished and gradient.weight_norm > 0 and gradient.norm > 0
        if math.isfinite(gradient.ratio)
    ]
    return tuple(sorted(found, key=lambda weight: seen.sites.position(weight.site.name)))


def reader(seen: Observations, info: TensorInfo) -> Site | None:
    """Return the first operation that reads a tensor, None if none does."""
    if info.site not in seen.sites:
        return None
    return seen.sites[info.site]


def is_normalized(seen: Observations, site: Site) -> bool:
    """Tell whether only normalizations read a site's output."""
    readers = seen.sites.readers(site)
    return bool(readers) and all(reader.kind is Kind.NORM for reader in readers)


def first_to_last(found: Sequence[Weight]) -> tuple[float, float]:
    """Return first over last gradient: of plain norms, and of norms free of the weights' units."""
    first, last = found[0], found[-1]
    return first.gradient.norm / last.gradient.norm, first.pull / last.pull


def per_layer(found: Sequence[Weight], most: int = 12) -> str:
    """Return the relative gradient of each weight, as a sentence of evidence."""
    shown = [f"{w.info.layer or w.info.name} {w.gradient.ratio:.1e}" for w in found[:most]]
    more = f", and {len(found) - most} more" if len(found) > most else ""
    return f"gradient norm / weight norm from input to output: {', '.join(shown)}{more}"
