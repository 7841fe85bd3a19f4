"""How much of what polynomials read lies where they are of no use."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.activations.approximating import outside
from dnnrepair.rate import Rate
from dnnrepair.swap_report import OutOfRange
from dnnrepair.swapping.measuring import batches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from dnnrepair.activations import Activation
    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged:
    """A place with an activation that is of use in a range only.

    Attributes:
        layer: for people.
        node: whose values it reads, in the graph of the changed network.
        activation: with its range.
    """

    layer: str
    node: str
    activation: Activation

    @property
    def bounded(self) -> bool:
        """Whether there is an end to the range."""
        return self.activation.domain != (-inf, inf)


def out_of_range(
    judge: Subject,
    after: Subject,
    places: Iterable[Ranged],
    reads: Callable[[Tensor], Tensor] | None = None,
) -> tuple[OutOfRange, ...]:
    """Return for each place how many values that it reads, and inputs with such, are outside.

    Args:
        judge: whose data are taken, batch first; nothing is returned without data.
        after: the changed network.
        places: with a bounded range.
        reads: turns a batch of the first input into what the network takes; None if it is the same.
    """
    known: dict[str, list[Ranged]] = {}
    for place in places:
        known.setdefault(place.node, []).append(place)
    if judge.samples is None or not known:
        return ()
    counts: dict[Ranged, list[int]] = {
        place: [0, 0, 0, 0] for all_ in known.values() for place in all_
    }
    size = 0  # inputs of the batch that are no filling

    def keep(site: Site, _arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
        for place in known.get(site.name, ()):
            beyond = outside(place.activation, value)[:size].reshape(size, -1)
            found = (int(beyond.sum()), beyond.numel(), int(beyond.any(1).sum()), size)
            counts[place] = [a + b for a, b in zip(counts[place], found, strict=True)]

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for batch in batches_of(judge):
            size = len(batch.targets) if batch.targets is not None else len(batch.inputs[0])
            first = batch.inputs[0] if reads is None else reads(batch.inputs[0])
            after.running.run([first, *batch.inputs[1:]], watch=keep)
    return tuple(
        OutOfRange(
            layer=place.layer,
            low=place.activation.domain[0],
            high=place.activation.domain[1],
            values=Rate(seen[0], seen[1]),
            inputs=Rate(seen[2], seen[3]),
        )
        for place, seen in counts.items()
    )
