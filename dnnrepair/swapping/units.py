"""The units of an activation: the weights that make them, and the weights that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind
from dnnrepair.swapping.affine import Affine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.program import Program
    from dnnrepair.sites import Site, Sites

PER_UNIT = ("weight", "bias", "running_mean", "running_var")  # tensors of a batch norm
_PASSING = (Kind.VIEW, Kind.DROPOUT, Kind.POOL)  # each unit goes through by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """An affine layer that reads units.

    Attributes:
        layer: which.
        units: of each of its inputs, the unit that it comes from, int64 ``(inputs,)``.
    """

    layer: Affine
    units: Tensor

    def columns(self, units: Sequence[int]) -> Tensor:
        """Return which of its inputs come from some units, int64."""
        return torch.isin(self.units, torch.tensor(units)).nonzero()[:, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The units of one activation.

    Attributes:
        site: the activation.
        source: the affine layer that makes them.
        norm: a batch norm between the two, None if there is none.
        readers: all that read them.
    """

    site: Site
    source: Affine
    norm: Site | None
    readers: tuple[Reader, ...]

    @classmethod
    def of(cls, program: Program, site: Site, example: Sequence[Tensor]) -> Units:
        """Return the units of an activation.

        Args:
            program: the network.
            site: the activation.
            example: inputs of the network.

        Raises:
            SettingError: they cannot be told apart on their way, and why.
        """
        sites = program.sites
        source, norm = _source(sites, site)
        found = dict.fromkeys(_readers(sites, site, _name(site)))
        if not found:
            message = f"the units of {_name(site)} are outputs of the network"
            raise SettingError(message)
        layers = [Affine.of(sites[name], sites) for name in found]
        return cls(
            site=site,
            source=Affine.of(source, sites),
            norm=norm,
            readers=tuple(_traced(program, site, layers, example)),
        )


def check_ungrouped(group: Units) -> None:
    """Refuse units that are made or read in groups.

    Raises:
        SettingError: one of the layers around them is a grouped convolution.
    """
    grouped = [r.layer.site.layer for r in group.readers if r.layer.groups != 1]
    if group.source.groups != 1:
        grouped.append(group.source.site.layer)
    if grouped:
        message = f"{group.site.layer}: {grouped[0]} is a grouped convolution, whose units hang "
        raise SettingError(message + "together")


def _name(site: Site) -> str:
    return site.layer or site.name


def _next(sites: Sites, name: str) -> list[Site]:
    return [site for site in sites if name in site.inputs]


def _source(sites: Sites, site: Site) -> tuple[Site, Site | None]:
    norm: Site | None = None
    at = site
    while True:
        if not at.inputs:
            message = f"{_name(site)}: no layer with weights comes before its activation"
            raise SettingError(message)
        at = sites[at.inputs[0]]
        if len(_next(sites, at.name)) > 1 or at.name == sites.output:
            message = f"{_name(site)}: what comes before its activation is read elsewhere too"
            raise SettingError(message)
        if at.kind is Kind.AFFINE:
            return at, norm
        if at.op == "batch_norm" and norm is None:
            norm = at
        elif at.kind is not Kind.VIEW or at.shape != site.shape:
            message = f"{_name(site)}: {at.op} before its activation mixes units or is no layer"
            raise SettingError(message)


def _readers(sites: Sites, site: Site, name: str) -> Iterator[str]:
    if site.name == sites.output:
        message = f"the units of {name} are outputs of the network"
        raise SettingError(message)
    for reader in _next(sites, site.name):
        if reader.kind is Kind.AFFINE:
            yield reader.name
        elif reader.kind in _PASSING or reader.op == "batch_norm":
            yield from _readers(sites, reader, name)
        else:
            message = f"the units of {name} go into {reader.op}, where they cannot be told apart"
            raise SettingError(message)


def _traced(
    program: Program, site: Site, layers: Sequence[Affine], example: Sequence[Tensor]
) -> Iterator[Reader]:
    """Send each unit's number down the network in place of its values, and see where it arrives."""
    arrived: dict[str, Tensor] = {}
    by_name = {layer.site.name: layer for layer in layers}

    def watch(at: Site, arguments: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401
        if at.name == site.name:
            shape = [1] * value.dim()
            shape[at.unit_dim] = -1
            numbers = torch.arange(1, value.shape[at.unit_dim] + 1, device=value.device)
            return numbers.reshape(shape).expand_as(value).to(value.dtype)
        if at.op == "batch_norm" and at.name in after:
            return arguments["input"]
        if at.name in by_name:
            arrived.setdefault(at.name, arguments["input"])
        return None

    after = {s.name for s in program.sites if site.name in program.sites.ancestors(s.name)}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        program.run([x.to(program.device) for x in example], watch=watch)
    for name, layer in by_name.items():
        seen = arrived[name].movedim(layer.input_dim, -1).flatten(0, -2)  # (rows, inputs)
        numbers = seen[0].round()
        if not torch.allclose(seen, numbers.expand_as(seen), atol=1e-3):
            message = f"the units of {_name(site)} are mixed on their way to {layer.site.layer}"
            raise SettingError(message)
        yield Reader(layer=layer, units=numbers.long().cpu() - 1)
