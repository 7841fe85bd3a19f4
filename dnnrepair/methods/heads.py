"""The last layer of a network: what enters it, and what the network answers if it changes.

The prediction is linear in the weights of the last linear layer, so methods that change no others
run the network once and work on numbers from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.errors import ModelError, SettingError
from dnnrepair.fixed_batch import filled
from dnnrepair.observation import Task
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.program import Program
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject

_MATRIX = 2  # dimensions of a linear layer's weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last layer: K outputs, each a weighted sum of d features.

    Changes of it are ``(K, D)``: one column per feature, and one for the bias if that may change.

    Attributes:
        site: its operation.
        weight: name of its weight.
        bias: name of its bias; None if it has none, or none that may change.
        transposed: the weight is held as ``(d, K)``.
        squashing: name of the site that makes probabilities of its outputs, "" if none does.
    """

    site: str
    weight: str
    bias: str | None
    transposed: bool = False
    squashing: str = ""

    @classmethod
    def of(cls, subject: Subject, layers: Collection[str] = ()) -> Head:
        """Return the last layer of a network.

        Args:
            subject: the network.
            layers: names of layers or tensors that may change; empty for any.

        Raises:
            ModelError: the network does not run, or does not end in a linear layer, or something
                else reads the same weights.
            SettingError: the last layer is not among those that may change.
        """
        program = subject.running
        last, squashing = _end(program.sites, squashed=subject.facts.task is Task.CLASSIFY)
        weight = last.tensors["weight"]
        _check_alone(program, last)
        if not _may_change(weight, layers):
            message = (
                f"{weight} is the weight of the last layer, and not among {', '.join(layers)}; "
                "name the last layer, or choose a method that changes others"
            )
            raise SettingError(message)
        bias = last.tensors.get("bias")
        return cls(
            site=last.name,
            weight=weight,
            bias=bias if bias is not None and _may_change(bias, layers) else None,
            transposed=bool(last.settings.get("transposed")),
            squashing=squashing,
        )

    def matrix(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the present values in the shape of a change, ``(K, D)``."""
        weight = tensors[self.weight].detach()
        weight = weight.mT if self.transposed else weight
        if self.bias is None:
            return weight
        return torch.cat([weight, tensors[self.bias].detach().reshape(-1, 1)], 1)

    def changed(self, tensors: Mapping[str, Tensor], change: Tensor) -> dict[str, Tensor]:
        """Return new values of the layer's parameters, in their own types.

        Args:
            tensors: the present ones by name.
            change: what to add, ``(K, D)``.
        """
        weight = tensors[self.weight].detach()
        width = weight.shape[0 if self.transposed else 1]
        step = change[:, :width].mT if self.transposed else change[:, :width]
        found = {self.weight: _plus(weight, step)}
        if self.bias is not None:
            found[self.bias] = _plus(tensors[self.bias].detach(), change[:, width])
        return found


def entering(subject: Subject, inputs: Sequence[Tensor], head: Head) -> tuple[Tensor, Tensor]:
    """Return what enters the last layer and what leaves it for a batch.

    Returns:
        Features ``(n, ..., d)``, and the network's own logits or values: its prediction, or what
        stands in front of a softmax or sigmoid.
    """
    program = subject.running
    seen: dict[str, Tensor] = {}

    def watch(site: Site, arguments: Mapping[str, Any], _value: Any) -> None:  # noqa: ANN401
        if site.name in (head.site, head.squashing):
            seen[site.name] = arguments["input"]

    count = len(inputs[0])
    batch = filled(inputs, program.batch_size, subject.device)
    with torch.no_grad():
        prediction = program.run(batch, watch=watch)
    return seen[head.site][:count], seen.get(head.squashing, prediction)[:count]


def _end(sites: Sites, *, squashed: bool) -> tuple[Site, str]:
    """Return the last linear layer, and the name of what makes probabilities of its outputs."""
    last = sites[sites.output] if sites.output is not None else None
    last = sites.source(last) if last is not None and last.kind is Kind.VIEW else last
    squashing = ""
    if last is not None and squashed and last.op in ("softmax", "log_softmax", "sigmoid"):
        squashing, last = last.name, sites.source(last)
    if last is None or last.op != "linear" or "weight" not in last.tensors:
        found = "nothing known" if last is None else f"{last.op} {last.layer}".strip()
        message = (
            f"the network ends in {found}, not in a linear layer; choose a method that changes "
            "other layers"
        )
        raise ModelError(message)
    return last, squashing


def _check_alone(program: Program, last: Site) -> None:
    """Refuse a layer whose weights something else reads: its inputs would change with them."""
    own = set(last.tensors.values())
    memory = {program.tensors[name].data_ptr() for name in own}
    for site in program.sites:
        names = set(site.tensors.values())
        if site.name != last.name and memory & {program.tensors[n].data_ptr() for n in names}:
            message = (
                f"{last.tensors['weight']}, of the last layer, is also read by {site.op}; "
                "choose a method that changes other layers"
            )
            raise ModelError(message)
    if program.tensors[last.tensors["weight"]].dim() != _MATRIX:
        message = f"{last.tensors['weight']} is no matrix; choose a method for other layers"
        raise ModelError(message)


def _may_change(name: str, layers: Collection[str]) -> bool:
    return not layers or name in layers or name.rpartition(".")[0] in layers


def _plus(value: Tensor, step: Tensor) -> Tensor:
    """Return the sum in the value's type, computed in float64."""
    return (value.double() + step.to(value.device).double().reshape(value.shape)).to(value.dtype)
