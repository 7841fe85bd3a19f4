"""What layers read and give on the data: limits, means and variances, or some of the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.probe import as_rows
from dnnrepair.swapping.measuring import batches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.program import Program
    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.affine import Affine

ROWS = 1 << 15  # that are kept of a site's values


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What units say on the data, ``(units,)`` each, float64 on the CPU.

    Attributes:
        count: rows, one for each sample and position.
        low, high: limits, NaN where a value is.
        mean, variance: the variance divides by the count.
    """

    count: int
    low: Tensor
    high: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Spread:
        """Return what rows ``(rows, units)`` hold."""
        values = rows.detach().double().cpu()
        return cls(
            count=len(values),
            low=values.amin(0),
            high=values.amax(0),
            mean=values.mean(0),
            variance=values.var(0, correction=0),
        )

    def __add__(self, other: Spread) -> Spread:
        """Return both together (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        step = other.mean - self.mean
        squares = self.variance * self.count + other.variance * other.count
        squares += step**2 * (self.count * other.count / count)
        return Spread(
            count=count,
            low=torch.minimum(self.low, other.low),
            high=torch.maximum(self.high, other.high),
            mean=self.mean + step * (other.count / count),
            variance=squares / count,
        )

    @property
    def constant(self) -> Tensor:
        """Which units always say the same, bool ``(units,)``."""
        return self.low == self.high


def given(subject: Subject, site: Site, program: Program) -> Spread:
    """Return what one site of a changed program gives on the data of a subject."""
    return outputs(subject, [site], program)[site.name]


def outputs(
    subject: Subject, sites: Iterable[Site], program: Program | None = None
) -> dict[str, Spread]:
    """Return what sites give, by name, on the data of a subject; of another program if given."""
    units = {site.name: site.unit_dim for site in sites}
    found: dict[str, Spread] = {}

    def keep(site: Site, _arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
        if site.name in units:
            _add(found, site.name, as_rows(value, units[site.name]))

    _run(subject, program or subject.running, keep)
    return found


def inputs(
    subject: Subject, layers: Sequence[Affine], program: Program | None = None
) -> dict[str, Spread]:
    """Return what affine layers read, by their sites' names, on the data of a subject.

    Args:
        subject: whose data are taken.
        layers: of its network.
        program: the network, where it is another than the subject's.
    """
    dims = {layer.site.name: layer.input_dim for layer in layers}
    found: dict[str, Spread] = {}

    def keep(site: Site, arguments: Mapping[str, Any], _value: Any) -> None:  # noqa: ANN401
        if site.name in dims:
            _add(found, site.name, as_rows(arguments["input"], dims[site.name]))

    _run(subject, program or subject.running, keep)
    return found


def some_inputs(subject: Subject, sites: Iterable[Site]) -> dict[str, Tensor]:
    """Return what activations read, ``(rows, units)`` on the CPU, evenly spaced if too many."""
    units = {site.name: site.unit_dim for site in sites}
    found: dict[str, list[Tensor]] = {name: [] for name in units}

    def keep(site: Site, arguments: Mapping[str, Any], _value: Any) -> None:  # noqa: ANN401
        if site.name in units:
            rows = as_rows(arguments["input"].detach(), units[site.name]).cpu()
            step = -(-len(rows) // (ROWS // 16))  # of each of 16 batches, the most that are read
            found[site.name].append(rows[::step])

    _run(subject, subject.running, keep)
    return {name: torch.cat(parts) for name, parts in found.items()}


def _add(found: dict[str, Spread], name: str, rows: Tensor) -> None:
    seen = Spread.of(rows)
    found[name] = found[name] + seen if name in found else seen


def _run(
    subject: Subject, program: Program, keep: Callable[[Site, Mapping[str, Any], Any], None]
) -> None:
    there = program.to(subject.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for batch in batches_of(subject):
            there.run(batch.inputs, watch=keep)
