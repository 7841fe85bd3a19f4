"""Run the same samples twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from dnnrepair.evidence.repeat import Repeat
from dnnrepair.probe import NotMeasuredError, probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from dnnrepair.probe import Session
    from dnnrepair.sites import Site

COMPARED = 1024  # values per operation, evenly spaced; the prediction is compared whole


class _Pass:
    """One run, with some values of each operation's output kept."""

    def __init__(self, session: Session) -> None:
        self.kept: dict[str, Tensor] = {}
        with torch.no_grad():
            self.prediction = session.program.run(session.batches[0].inputs, watch=self._watch)

    def _watch(self, site: Site, _arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
        first = value[0] if isinstance(value, tuple | list) and value else value
        if isinstance(first, torch.Tensor) and first.is_floating_point():
            flat = first.reshape(-1)
            self.kept[site.name] = flat[:: max(1, flat.numel() // COMPARED)].double().clone()


@probe("repeat")
class RepeatProbe:
    """Two evaluation passes over the first batch, compared at every operation."""

    yields: ClassVar[type] = Repeat

    def measure_session(self, session: Session) -> Iterator[tuple[str, Repeat]]:
        """Yield the operations whose outputs differ, and the prediction under ""."""
        if not session.batches:
            message = "needs data: give --data"
            raise NotMeasuredError(message)
        with torch.random.fork_rng(devices=[]):
            one, two = _Pass(session), _Pass(session)
        yield "", compare(one.prediction.double(), two.prediction.double())
        for name, values in one.kept.items():
            if name in two.kept and values.shape == two.kept[name].shape:
                found = compare(values, two.kept[name])
                if found.difference > 0:
                    yield name, found


def compare(one: Tensor, two: Tensor) -> Repeat:
    """Return how far two equal-shaped tensors differ where both are finite."""
    both = torch.isfinite(one) & torch.isfinite(two)
    gap, size = (one - two)[both].abs(), one[both]
    if not gap.numel():
        return Repeat(difference=0.0, rms=0.0)
    return Repeat(difference=float(gap.max()), rms=float(size.square().mean().sqrt()))
