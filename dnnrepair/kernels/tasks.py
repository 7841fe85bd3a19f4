"""What a search holds fixed: the tensors a kernel reads for every candidate, checked once.

P candidates, N inputs, k patched weights, u touched output units, C classes, S searches, s
positions in space. Inputs are the last dimension, so that neighbors in memory are neighbors in N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch

from dnnrepair.errors import DataError, SettingError

if TYPE_CHECKING:
    from torch import Tensor

WHOLE = "the logits are whole numbers, which no patch can move; give the float network's"
ACTIVATIONS = (
    "identity",
    "relu",
    "leaky_relu",
    "tanh",
    "sigmoid",
    "gelu",
    "gelu_tanh",
    "silu",
    "elu",
)


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise function between two layers.

    Attributes:
        name: one of :data:`ACTIVATIONS`.
        slope: of leaky_relu below zero, or elu's alpha; the others ignore it.
    """

    name: str = "relu"
    slope: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a name no kernel knows (:class:`SettingError`)."""
        if self.name not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            message = f"no kernel for the activation {self.name!r}; known are {known}"
            raise SettingError(message)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the logits of an input become its part of the fitness.

    Attributes:
        labels: the true classes, ``(N,)`` int32 in [0, C).
        weights: what each input counts, ``(N,)``, or ``(S, N)`` where the candidates belong to S
            searches, P / S consecutive ones to each. Sums stay exact below ``2**29`` in total.
    """

    labels: Tensor
    weights: Tensor

    @property
    def searches(self) -> int:
        """S, the number of searches."""
        return 1 if self.weights.ndim == 1 else len(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Weights of the last Linear are patched.

    Attributes:
        columns: what each patched weight is multiplied with, ``(k, N)``; ones for a bias.
        unit_of: the class each patched weight belongs to, ``(k,)`` int32.
        base: logits of the unpatched network, ``(C, N)``.
        scoring: labels and weights of the inputs.
    """

    columns: Tensor
    unit_of: Tensor
    base: Tensor
    scoring: Scoring

    def __post_init__(self) -> None:
        """Refuse tensors that do not fit together (:class:`DataError`)."""
        _check_units(self.unit_of, len(self.columns), len(self.base))
        _check_scoring(self.scoring, self.base, self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Weights of the last but one layer are patched; an activation and a Linear follow.

    Attributes:
        columns: what each patched weight is multiplied with, ``(k, N)``; ones for a bias.
        unit_of: the touched unit each patched weight belongs to, ``(k,)`` int32 in [0, u).
        before: pre-activations of the touched units in the unpatched network, ``(u, N)``.
        weight: the columns of the next Linear that read the touched units, ``(C, u)``.
        base: logits of the unpatched network, ``(C, N)``.
        scoring: labels and weights of the inputs.
        activation: between the two layers.
    """

    columns: Tensor
    unit_of: Tensor
    before: Tensor
    weight: Tensor
    base: Tensor
    scoring: Scoring
    activation: Activation = Activation()

    def __post_init__(self) -> None:
        """Refuse tensors that do not fit together (:class:`DataError`)."""
        _check_units(self.unit_of, len(self.columns), len(self.before))
        _check_scoring(self.scoring, self.base, self.columns)
        _same("before", self.before.shape[1:], self.base.shape[1:])
        _same("weight", self.weight.shape, (len(self.base), len(self.before)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTail:
    """Weights of a convolution are patched; an activation and a Linear of H units follow.

    Attributes:
        planes: what each patched weight is multiplied with, ``(N, k, s)``; ones for a bias.
        unit_of: the touched channel each patched weight belongs to, ``(k,)`` int32 in [0, u).
        before: pre-activations of the touched channels, ``(N, u, s)``.
        weight: what the Linear does with them, ``(u, s, H)``.
        base: what the Linear gives in the unpatched network, ``(N, H)``.
        activation: between the two layers.
    """

    planes: Tensor
    unit_of: Tensor
    before: Tensor
    weight: Tensor
    base: Tensor
    activation: Activation = Activation()

    def __post_init__(self) -> None:
        """Refuse tensors that do not fit together (:class:`DataError`)."""
        count, units, space = self.before.shape
        _check_units(self.unit_of, self.planes.shape[1], units)
        _same("planes", self.planes.shape, (count, len(self.unit_of), space))
        _same("weight", self.weight.shape, (units, space, self.base.shape[1]))
        _same("base", self.base.shape, (count, self.weight.shape[2]))


@dataclass(frozen=True, slots=True)
class Scores:
    """How fit the candidates are.

    Attributes:
        fitness: ``(P,)`` float64, a multiple of ``2**-24``.
        verdicts: 1 where the candidate is right about the input, ``(P, N)`` uint8; None unless
            they were asked for.
    """

    fitness: Tensor
    verdicts: Tensor | None


class Evaluator(Protocol):
    """A prepared :class:`Head` or :class:`Tail`."""

    backend: ClassVar[str]

    def __call__(self, changes: Tensor, *, verdicts: bool = False) -> Scores:
        """Score candidates that add ``changes`` ``(P, k)`` to the patched weights."""
        ...


class ConvEvaluator(Protocol):
    """A prepared :class:`ConvTail`."""

    backend: ClassVar[str]

    def __call__(self, changes: Tensor) -> Tensor:
        """Return what the Linear gives, ``(P, N, H)``, under ``changes`` ``(P, k)``."""
        ...


@dataclass(frozen=True, slots=True)
class Groups:
    """Patched weights sorted by the unit they belong to.

    Attributes:
        order: the weights, those of one unit together, ``(k,)`` int32.
        starts: where each unit's begin in ``order``, and the end, ``(units + 1,)`` int32.
    """

    order: Tensor
    starts: Tensor


def grouped(unit_of: Tensor, units: int) -> Groups:
    """Sort patched weights by unit; weights of one unit keep their order."""
    ordered, order = torch.sort(unit_of, stable=True)
    edges = torch.arange(units + 1, device=unit_of.device, dtype=unit_of.dtype)
    starts = torch.searchsorted(ordered, edges)
    return Groups(order.int(), starts.int())


def check_changes(changes: Tensor, weights: int, searches: int) -> None:
    """Refuse changes that are no ``(P, k)`` or do not divide among the searches."""
    if changes.ndim != 2 or changes.shape[1] != weights or not len(changes):  # noqa: PLR2004
        found = tuple(changes.shape)
        message = f"changes are {found}, not (candidates, {weights}); give a row per patch"
        raise DataError(message)
    if len(changes) % searches:
        message = (
            f"{len(changes)} candidates do not divide among {searches} searches; "
            "give each search as many"
        )
        raise DataError(message)


def _same(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if tuple(found) != tuple(wanted):
        message = f"{name} is {tuple(found)}, not {tuple(wanted)}; build it for this layer"
        raise DataError(message)


def _check_units(unit_of: Tensor, weights: int, units: int) -> None:
    _same("unit_of", unit_of.shape, (weights,))
    if not weights:
        message = "no weight is patched; name at least one place"
        raise DataError(message)
    if bool(((unit_of < 0) | (unit_of >= units)).any()):
        message = f"unit_of names a unit outside [0, {units}); count from the layer's first"
        raise DataError(message)


def _check_scoring(scoring: Scoring, base: Tensor, columns: Tensor) -> None:
    if not base.is_floating_point():
        raise DataError(WHOLE)
    classes, count = base.shape
    _same("columns", columns.shape[1:], (count,))
    _same("labels", scoring.labels.shape, (count,))
    _same("weights", scoring.weights.shape[-1:], (count,))
    if bool(((scoring.labels < 0) | (scoring.labels >= classes)).any()):
        message = f"a label lies outside [0, {classes}); drop inputs without a class"
        raise DataError(message)
    if not bool(scoring.weights.isfinite().all()):
        message = "a weight of an input is not finite; give each input a number"
        raise DataError(message)
