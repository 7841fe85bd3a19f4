"""Gradient loss and forward impact of every weight, for one set of inputs.

Sohn, Kang and Yoo, "Arachne: Search Based Repair of Deep Neural Networks" (TOSEM 2023), section 3.
Two passes over the inputs, a batch at a time: the first differentiates, the second needs to know
the impact behind each layer, which is a mean over all inputs. So memory holds a few numbers for
each weight and each output of a layer, and the values of one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import ModelError
from dnnrepair.localize.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dnnrepair.data import Samples
    from dnnrepair.localize.watching import Network, Run
    from dnnrepair.localize.weights import Sums

    Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Measured:
    """Two numbers for each weight, ``(M,)``.

    Attributes:
        gradient: gradient loss, the size of the gradient of the summed loss.
        impact: forward impact, the weight's share in its outputs times their impact on the logits.
        unseen: names of the tensors whose impact could not be measured and is 0.
    """

    gradient: Floats
    impact: Floats
    unseen: tuple[str, ...]


def measure(network: Network, samples: Samples, batch_size: int) -> Measured:
    """Return gradient loss and forward impact of every suspected weight.

    Raises:
        DataError: if the samples do not fit the network, or have no labels.
        ModelError: if the network cannot be differentiated, or computes what is not finite.
    """
    size = network.program.batch_size or batch_size
    tally = Tally(network.head, network.weights.zeros())
    run: Run | None = None
    for batch in samples.batches(size):
        del run  # two would take the memory of two
        run = tally.add(network, batch)
    assert run is not None  # there are no samples without a sample  # noqa: S101
    with torch.no_grad():
        again = map(network.run, samples.batches(size) if tally.behind else ())
        impact, seen = _impact(tally, [run] if run.samples == tally.count else again)
    unseen = tuple(name for name in network.weights.suspected if name not in seen)
    found = Measured(abs(tally.gradient.flat()), impact.flat(), unseen)
    if not np.isfinite(found.gradient.sum() + found.impact.sum()):
        message = (
            "loss or gradient are not finite on these inputs; see `dnnrepair diagnose`, NUM001"
        )
        raise ModelError(message)
    return found


def _impact(tally: Tally, runs: Iterable[Run]) -> tuple[Sums, set[str]]:
    """Return forward impacts, and the names of the tensors that they were measured for."""
    impact, seen = tally.gradient.weights.zeros(), set[str]()
    for run in runs:
        for use in run.uses:
            scale = tally.scale(use, run.samples)
            for part, values in use.impact(scale) if scale is not None else ():
                seen.add(impact.add_to(part, values))
    return impact, seen - {""}
