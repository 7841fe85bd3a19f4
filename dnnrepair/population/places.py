"""Which single weights a patch may change."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import ModelError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dnnrepair.program import Program


@dataclass(frozen=True, slots=True)
class Place:
    """One weight.

    Attributes:
        tensor: name of the parameter, as in the state dict.
        index: within it, one number per dimension.
    """

    tensor: str
    index: tuple[int, ...]

    def __str__(self) -> str:
        """Return, say, ``head.weight[3, 17]``."""
        return f"{self.tensor}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True, slots=True)
class Places:
    """The weights of a patch, k of them, in the order of the columns of a candidate's values.

    Attributes:
        sequence: the places.
        flat: of each, its position in row-major order.
        shapes: of each tensor concerned.
        twins: other names under which the same memory is known (tied weights), by tensor name.
    """

    sequence: tuple[Place, ...]
    flat: tuple[int, ...]
    shapes: Mapping[str, tuple[int, ...]]
    twins: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, program: Program, places: Sequence[Place]) -> Places:
        """Check places against a network.

        Raises:
            SettingError: there is none, one is named twice, or one lies outside its tensor.
            ModelError: a tensor does not exist, is not used, or holds no floating-point numbers.
        """
        if not places:
            message = "no place to patch was given; name at least one weight"
            raise SettingError(message)
        places = tuple(Place(place.tensor, tuple(map(int, place.index))) for place in places)
        names = tuple(dict.fromkeys(place.tensor for place in places))
        for name in names:
            _check_tensor(program, name)
        shapes = {name: tuple(program.tensors[name].shape) for name in names}
        flat = tuple(_flat(place, shapes[place.tensor]) for place in places)
        twins = {name: twins_of(program, name) for name in names}
        seen: dict[tuple[frozenset[str], int], Place] = {}
        for place, position in zip(places, flat, strict=True):
            same = frozenset((place.tensor, *twins[place.tensor]))
            other = seen.setdefault((same, position), place)
            if other is not place:
                message = f"{place} is named twice; a patch sets each weight once"
                raise SettingError(message)
        return cls(places, flat, shapes, twins)

    def __len__(self) -> int:
        """Return k."""
        return len(self.sequence)

    def originals(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the present values, ``(k,)``."""
        values = [tensors[p.tensor][p.index] for p in self.sequence]
        return torch.stack([value.detach() for value in values])

    def columns(self, tensor: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return flat positions within a tensor, and which columns of the values they take."""
        found = [
            (flat, column)
            for column, (place, flat) in enumerate(zip(self.sequence, self.flat, strict=True))
            if tensor == place.tensor or tensor in self.twins[place.tensor]
        ]
        return tuple(flat for flat, _ in found), tuple(column for _, column in found)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors that change, tied ones included."""
        names = {n: None for name in self.shapes for n in (name, *self.twins[name])}
        return tuple(names)

    def patched(self, tensors: Mapping[str, Tensor], values: Tensor) -> dict[str, Tensor]:
        """Return copies of the tensors concerned with one candidate's values ``(k,)`` written."""
        changed = {}
        for name in self.tensors:
            flat, columns = self.columns(name)
            copy = tensors[name].detach().clone(memory_format=torch.contiguous_format)
            copy.view(-1)[list(flat)] = values[list(columns)].to(copy.dtype)
            changed[name] = copy
        return changed


def check_values(values: Tensor, places: Places, box: tuple[Tensor, Tensor] | None = None) -> None:
    """Refuse candidates that are none.

    Args:
        values: should be ``(P, k)``.
        places: k of them.
        box: lower and upper bounds that hold for all candidates, ``(k,)``.

    Raises:
        SettingError: if there are no candidates, or the shape is another, or a value is not finite
            or lies outside the box.
    """
    if values.dim() != 2 or values.shape[1] != len(places):  # noqa: PLR2004 - (P, k)
        message = f"values are {tuple(values.shape)}; (candidates, {len(places)}) is needed"
        raise SettingError(message)
    if len(values) == 0:
        message = "a population of 0 candidates cannot be evaluated; give at least one"
        raise SettingError(message)
    if values.is_cuda and torch.cuda.is_current_stream_capturing():
        return  # looking at values would wait for the device; a search draws within its box
    finite = values.isfinite()
    if not bool(finite.all()):
        candidate, column = (int(i) for i in (~finite).nonzero()[0])
        what = values[candidate, column].item()
        message = f"candidate {candidate} sets {places.sequence[column]} to {what}; give numbers"
        raise SettingError(message)
    if box is not None:
        low, high = (bound.to(values) for bound in box)
        outside = (values < low) | (values > high)
        if bool(outside.any()):
            candidate, column = (int(i) for i in outside.nonzero()[0])
            message = (
                f"candidate {candidate} sets {places.sequence[column]} outside the box for which "
                "inputs were dropped; prepare again without it"
            )
            raise SettingError(message)


def _check_tensor(program: Program, name: str) -> None:
    from difflib import get_close_matches

    if name not in program.tensors:
        near = get_close_matches(name, program.tensors, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see `dnnrepair diagnose` for its layers"
        if not program.tensors:
            hint = "it has none at all, as quantized layers do not; patch the float network"
        message = f"the network has no parameter {name!r}; {hint}"
        raise ModelError(message)
    value = program.tensors[name]
    if value.is_quantized or not value.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.")
        message = f"{name} holds {kind}, which a search cannot change; patch the float network"
        raise ModelError(message)
    if not program.reads(name, *twins_of(program, name)):
        message = f"the network's graph does not use {name}; patching it would change nothing"
        raise ModelError(message)


def _flat(place: Place, shape: tuple[int, ...]) -> int:
    inside = len(place.index) == len(shape) and all(
        0 <= i < size for i, size in zip(place.index, shape, strict=True)
    )
    if not inside:
        message = f"{place} lies outside {place.tensor}, which is {shape}"
        raise SettingError(message)
    return sum(i * prod(shape[d + 1 :]) for d, i in enumerate(place.index))


def twins_of(program: Program, name: str) -> tuple[str, ...]:
    """Return the other names under which the same memory is known (tied weights)."""
    value = program.tensors[name]
    return tuple(
        other
        for other, tensor in program.tensors.items()
        if other != name
        and tensor.shape == value.shape
        and tensor.stride() == value.stride()
        and tensor.data_ptr() == value.data_ptr()
    )


def with_twins(program: Program, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return new values of parameters under all names by which these are known."""
    return {
        twin: value for name, value in tensors.items() for twin in (name, *twins_of(program, name))
    }
