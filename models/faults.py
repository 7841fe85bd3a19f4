"""Faults that can be planted into a reference network, by name, strength and seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import torch

from dnnrepair.errors import ModelError, UnknownNameError
from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.models.reference import Reference

    Planting = Callable[[Reference, "Strength", torch.Generator], Reference]
    Applies = Callable[[Reference], bool]

T = TypeVar("T")


class Strength(StrEnum):
    """How bad a fault is; weak is 1.5 times the rule's limit where the limit has a scale."""

    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"

    def choose(self, weak: T, medium: T, strong: T) -> T:
        """Return the value for this strength."""
        return {Strength.WEAK: weak, Strength.MEDIUM: medium, Strength.STRONG: strong}[self]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault by name.

    Attributes:
        name: as in a spec.
        codes: rules of which at least one must speak.
        may: rules that may speak besides: what the fault brings about.
        applies: tells whether a reference network can have it.
        plant: returns a new reference with the fault; the old one is untouched.
        natural: training itself produces it, nobody edits a weight.
        graded: its strength makes a difference.
    """

    name: str
    codes: frozenset[str]
    may: frozenset[str]
    applies: Applies
    plant: Planting
    natural: bool = False
    graded: bool = True


faults: Registry[Fault] = Registry("fault", "dnnrepair.models")

OUTPUT = frozenset({"OUT002", "OUT003", "ACT004"})  # what a damaged network answers
GRADIENT = frozenset({"GRD001", "GRD002", "GRD003", "GRD004"})
ACTIVITY = frozenset({"ACT001", "ACT002", "ACT003", "ACT005", "ACT006", "ACT007"})
NORMALIZATION = frozenset({"BN002", "BN003", "BN004", "LN001", "RES001"})
DAMAGE = OUTPUT | GRADIENT | ACTIVITY | NORMALIZATION | {"ATT001", "RNN001", "WGT001"}


def fault(
    name: str,
    *codes: str,
    applies: Applies,
    may: frozenset[str] = DAMAGE,
    natural: bool = False,
    graded: bool = True,
) -> Callable[[Planting], Planting]:
    """File a planting function under ``name``; it is given a copy that it may change."""

    def decorate(planting: Planting) -> Planting:
        def plant(reference: Reference, strength: Strength, rng: torch.Generator) -> Reference:
            return planting(reference.copy(), strength, rng)

        entry = Fault(
            name=name,
            codes=frozenset(codes),
            may=may - frozenset(codes),
            applies=applies,
            plant=plant,
            natural=natural,
            graded=graded,
        )
        faults.file(name, entry)
        return planting

    return decorate


def plant(reference: Reference, name: str, strength: str = "medium") -> Reference:
    """Return a reference with the fault of that name; the same seed plants the same fault.

    Raises:
        UnknownNameError: there is no such fault or strength.
        ModelError: the fault does not apply to this network.
    """
    from dnnrepair.models.building import accuracy

    chosen = faults[name]
    if strength not in tuple(Strength):
        message = f"no strength is called {strength!r}; known: {', '.join(Strength)}"
        raise UnknownNameError(message)
    if not chosen.applies(reference):
        able = "dnnrepair models lists which faults fit which network"
        message = f"the fault {name!r} does not apply to {reference.name!r}; {able}"
        raise ModelError(message)
    rng = torch.Generator().manual_seed(reference.seed)
    with torch.no_grad():
        planted = chosen.plant(reference, Strength(strength), rng)
    return replace(planted, accuracy=accuracy(planted) if planted.trained else None)


def has_hidden(reference: Reference) -> bool:
    """Tell whether the network has layers that an activation follows."""
    return bool(reference.recipe.hidden)


def classifies(reference: Reference) -> bool:
    """Tell whether the network answers with a class."""
    return reference.task == "classify"


def is_plain(reference: Reference) -> bool:
    """Tell whether the network is a chain without normalization or shortcuts."""
    return "plain" in reference.recipe.traits


def always(reference: Reference) -> bool:
    """Tell that every network can have the fault."""
    return reference is not None
