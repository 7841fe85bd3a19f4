"""Which weights a method looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.errors import DnnRepairError
from dnnrepair.localize.weights import Weights
from dnnrepair.methods.heads import Head
from dnnrepair.observation import Role
from dnnrepair.population.step import steps_of
from dnnrepair.program import GraphProgram
from dnnrepair.sites import KIND_OF_OP, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.step import Step
    from dnnrepair.subject import Subject

_HEAVY = frozenset({Kind.RECURRENT, Kind.ATTENTION})


def searched(subject: Subject, layers: Sequence[str], reach: str) -> tuple[str, ...]:
    """Return the names of layers or tensors to search; empty for all.

    Args:
        subject: the network.
        layers: that the user chose; empty for none.
        reach: "behind" for those behind the last heavy layer, "all" for all.
    """
    return tuple(layers) or (behind(subject) if reach == "behind" else ())


def searched_scope(subject: Subject, layers: Sequence[str], reach: str) -> tuple[str, ...]:
    """Return the names of the kernels to search; empty if the search will refuse the layers."""
    chosen = searched(subject, layers, reach)
    try:
        return tuple(Weights.of(subject, chosen).suspected) if chosen else ()
    except DnnRepairError:
        return ()


def head_scope(subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the last layer's parameters; empty if there is none to change."""
    try:
        head = Head.of(subject, layers)
    except DnnRepairError:
        return ()
    return (head.weight,) if head.bias is None else (head.weight, head.bias)


def behind(subject: Subject) -> tuple[str, ...]:
    """Return the kernels that lie behind the last convolutional, recurrent or attention layer.

    A candidate for them costs a few numbers per input, one for earlier ones most of the network.
    Empty if there are none, or the network is no graph.
    """
    program = subject.program
    if not isinstance(program, GraphProgram):
        return ()
    return tuple(
        name
        for name, info in subject.infos.items()
        if info.role in (Role.WEIGHT, Role.RECURRENT)
        and (steps := tuple(steps_of(program, {name})))
        and not any(map(_is_heavy, steps))
    )


def _is_heavy(step: Step) -> bool:
    return KIND_OF_OP.get(step.op) in _HEAVY or step.op.startswith("conv")
