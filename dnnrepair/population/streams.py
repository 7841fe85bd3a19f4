"""Sparse values that never exist as a whole: one unit after another runs up to the sum over units.

A changed channel of a convolution has as many numbers as there are positions. Where a linear layer
sums over channels and positions, all that lies between acts on each channel by itself. One channel
at a time stays in the cache from the convolution to the sum; all of them together would be written
to memory, and read again by every operation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.graph import named_arguments, operation_name
from dnnrepair.population.operations.elementwise import OF_ONE_VALUE, UNCHANGED
from dnnrepair.population.operations.pools import POOLS
from dnnrepair.population.values import Sparse, Streamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from torch import fx

    from dnnrepair.population.call import Call, Rule
    from dnnrepair.population.places import Places
    from dnnrepair.population.step import Step
    from dnnrepair.program import GraphProgram

_NAMED = f"{OF_ONE_VALUE} {UNCHANGED} batch_norm flatten view reshape"
BY_UNIT = frozenset((*_NAMED.split(), *POOLS))  # operations on each channel by itself


def streaming(steps: Sequence[Step], program: GraphProgram, places: Places) -> Iterator[Step]:
    """Yield the steps, those marked whose changed units an unpatched linear layer sums up."""
    varying = {name for step in steps for name in step.names}
    varying |= {node for node, name in program.tensor_of_node.items() if name in places.tensors}
    for step in steps:
        yield replace(step, streams=True) if _is_summed_up(step.node, varying) else step


def _is_summed_up(node: fx.Node, varying: set[str]) -> bool:
    while len(node.users) == 1:
        (user,) = node.users
        source, *others = user.all_input_nodes
        op = operation_name(user, named_arguments(user))
        if source is not node or any(other.name in varying for other in others):
            return False
        if op == "linear":
            return True
        if op not in BY_UNIT:
            return False
        node = user
    return False


def one_by_one(call: Call, rule: Rule) -> Any:  # noqa: ANN401 - a value
    """Apply a rule to a streamed input, ``NotImplemented`` where it needs the units together.

    While inputs are recorded results are there at once: what they are made of is gone later.
    """
    if call.op == "linear":
        return rule(call)
    results: Any = (rule(call.with_input(part)) for part in call.input.parts)
    if call.frame.recording:
        results = tuple(results)
    alone = call.constant("unit by unit", lambda: all(isinstance(r, Sparse) for r in results))
    return Streamed(results) if alone else NotImplemented
