"""The weights that are suspected, and what is added up for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.errors import ModelError
from dnnrepair.observation import Role
from dnnrepair.tensors import each_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.observation import TensorInfo
    from dnnrepair.subject import Subject

_KERNELS = (Role.WEIGHT, Role.RECURRENT)


@dataclass(frozen=True, slots=True)
class Weights:
    """Copies of all parameters, of which some are suspected.

    Attributes:
        values: of all parameters and buffers, by name; tied ones are the same tensor.
        suspected: names of those to be judged, each memory once.
    """

    values: Mapping[str, Tensor]
    suspected: tuple[str, ...]

    @classmethod
    def of(cls, subject: Subject, layers: Sequence[str] = ()) -> Weights:
        """Copy the weights of a network.

        Args:
            subject: the network.
            layers: names of layers or of tensors, to judge only these; empty for all kernels.

        Raises:
            ModelError: if there is nothing to judge, or a name is unknown.
        """
        infos = {n: i for n, i in subject.infos.items() if subject.tensors[n].is_floating_point()}
        names = _chosen(infos, layers)
        values = each_once(
            lambda value: value.detach().clone(memory_format=torch.contiguous_format),
            subject.tensors,
        )
        first = {id(values[name]): name for name in reversed(names)}
        kept = tuple(name for name in names if first[id(values[name])] == name)
        for name in kept:
            values[name].requires_grad_()
        return cls(values, kept)

    @property
    def leaves(self) -> list[Tensor]:
        """The suspected tensors, which ask for a gradient."""
        return [self.values[name] for name in self.suspected]

    def suspects(self, name: str) -> bool:
        """Tell whether a parameter is among the suspected ones, maybe under another name."""
        value = self.values.get(name)
        return any(value is leaf for leaf in self.leaves)

    def zeros(self) -> Sums:
        """Return a zero for each weight."""
        return Sums(self, [torch.zeros_like(leaf, requires_grad=False) for leaf in self.leaves])


@dataclass(frozen=True, slots=True)
class Sums:
    """A number for each suspected weight, to be added to.

    Attributes:
        weights: which they are.
        totals: shaped as the tensors, one for each.
    """

    weights: Weights
    totals: list[Tensor]

    def add(self, values: Sequence[Tensor | None]) -> None:
        """Add to all tensors, in order; None adds nothing."""
        for total, value in zip(self.totals, values, strict=True):
            if value is not None:
                total.add_(value)

    def add_to(self, part: Tensor, values: Tensor) -> str:
        """Add to a tensor or to the part of one that a view shows.

        Returns:
            The tensor's name, "" if it is no suspected one.
        """
        memory = part.untyped_storage().data_ptr()
        for name, total in zip(self.weights.suspected, self.totals, strict=True):
            leaf = self.weights.values[name]
            if leaf.untyped_storage().data_ptr() == memory:
                window = total.as_strided(part.shape, part.stride(), part.storage_offset())
                window.add_(values)
                return name
        return ""

    def flat(self) -> NDArray[np.floating]:
        """Return all sums, ``(M,)``."""
        totals = (total.float() if total.itemsize < 4 else total for total in self.totals)  # noqa: PLR2004
        return np.concatenate([total.flatten().cpu().numpy() for total in totals])


def _chosen(infos: Mapping[str, TensorInfo], layers: Sequence[str]) -> list[str]:
    """Return the names of the kernels of some layers; a tensor may also be named itself."""
    found = [name for name, info in infos.items() if _is_kernel(info)]
    if not found:
        message = "the network has no linear, convolutional or recurrent weights to suspect"
        raise ModelError(message)
    for layer in layers:
        if not any(_belongs(infos[name], layer) for name in found):
            message = f"no layer with weights is called {layer!r}; {_hint(layer, infos, found)}"
            raise ModelError(message)
    return [n for n in found if not layers or any(_belongs(infos[n], layer) for layer in layers)]


def _is_kernel(info: TensorInfo) -> bool:
    return info.role in _KERNELS and not info.buffer and info.used is not False


def _belongs(info: TensorInfo, layer: str) -> bool:
    return layer in (info.name, info.layer) or info.layer.startswith(f"{layer}.")


def _hint(layer: str, infos: Mapping[str, TensorInfo], found: Sequence[str]) -> str:
    from difflib import get_close_matches

    known = list(dict.fromkeys(infos[name].layer for name in found))
    near = get_close_matches(layer, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
