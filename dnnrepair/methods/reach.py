"""Which weights a search can afford to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.observation import Role
from dnnrepair.population.step import steps_of
from dnnrepair.program import GraphProgram
from dnnrepair.sites import KIND_OF_OP, Kind

if TYPE_CHECKING:
    from dnnrepair.population.step import Step
    from dnnrepair.subject import Subject

_HEAVY = frozenset({Kind.RECURRENT, Kind.ATTENTION})


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
