"""The operations that a patch can change, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dnnrepair.graph import is_ignored, named_arguments, operation_name
from dnnrepair.population.call import Rule, rules
from dnnrepair.sites import KIND_OF_OP, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import fx

    from dnnrepair.program import GraphProgram

GATES = 5  # numbers per hidden unit that one step of a recurrent layer works on: gates and state
_ALLOCATING = frozenset({Kind.AFFINE, Kind.NORM, Kind.ADD, Kind.ACTIVATION})


@dataclass(frozen=True)
class Step:
    """One operation of the suffix.

    Attributes:
        node: as in the graph.
        op: canonical name.
        operation: the function, never one that works in place.
        overwrites: name of the node that it overwrites, "" if none.
        named: arguments by schema name, with nodes in place of values.
        rule: for values that differ between candidates; None if there is none.
        writers: of its arguments from outside the suffix, which operation last overwrote them.
        forgotten: nodes that no later step reads.
        reusable: the first argument is memory of its own that nothing else reads.
        streams: its changed units, if they are large, are to come one after another.
    """

    node: fx.Node
    op: str
    operation: Any
    overwrites: str
    named: Mapping[str, Any]
    rule: Rule | None = None
    writers: Mapping[str, str] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    reusable: bool = False
    streams: bool = False

    @property
    def repeats(self) -> int:
        """In how many parts its value arises: a recurrent layer works step by step."""
        if KIND_OF_OP.get(self.op) is not Kind.RECURRENT:
            return 1
        first = bool(self.named.get("batch_first"))
        source = self.named["input"].meta.get("val")
        length = 1 if source is None else source.shape[1 if first else 0]
        return max(1, int(length) // GATES) if isinstance(length, int) else 1

    @property
    def is_view(self) -> bool:
        """Whether its value is its argument's, seen another way."""
        return KIND_OF_OP.get(self.op) is Kind.VIEW

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes that hold its value."""
        return (self.node.name, self.overwrites) if self.overwrites else (self.node.name,)


def steps_of(program: GraphProgram, patched: set[str]) -> Iterator[Step]:
    """Yield the operations between the patched tensors and the prediction."""
    changed = {node for node, tensor in program.tensor_of_node.items() if tensor in patched}
    writers: dict[str, str] = {}
    found: list[Step] = []
    for node in program.graph.nodes:
        if node.op != "call_function" or is_ignored(node):
            continue
        twin = program.writes.twins.get(node.name)
        overwrites = node.all_input_nodes[0].name if twin is not None else ""
        if any(source.name in changed for source in node.all_input_nodes):
            found.append(_step(node, twin, overwrites, writers))
            changed |= {node.name, overwrites} - {""}
        elif overwrites:
            writers[overwrites] = node.name
    return _needed(found, str(program.sites.output))


def _step(node: fx.Node, twin: Any, overwrites: str, writers: Mapping[str, str]) -> Step:  # noqa: ANN401
    named = named_arguments(node)
    op = operation_name(node, named)
    return Step(
        node=node,
        op=op,
        operation=twin or node.target,
        overwrites=overwrites,
        named=named,
        rule=rules[op] if op in rules else None,  # noqa: SIM401 - no dict
        reusable=_is_reusable(node),
        writers={s.name: writers[s.name] for s in node.all_input_nodes if s.name in writers},
    )


def _is_reusable(node: fx.Node) -> bool:
    source = node.all_input_nodes[0]
    if source.op != "call_function" or len(source.users) > 1:
        return False
    return KIND_OF_OP.get(operation_name(source, named_arguments(source))) in _ALLOCATING


def _needed(found: Sequence[Step], output: str) -> Iterator[Step]:
    """Yield the steps on which the output depends, each with what it is the last to read."""
    needed = {output}
    kept: list[Step] = []
    for step in reversed(found):
        if needed & {step.node.name, step.overwrites}:
            read = {source.name for source in step.node.all_input_nodes}
            kept.append(replace(step, forgotten=tuple(read - needed)))
            needed |= read
    return reversed(kept)
