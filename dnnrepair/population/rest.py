"""The part of a graph that some parameters can change, as a graph of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import fx

from dnnrepair.population.tail import maker_of
from dnnrepair.program import GraphProgram

if TYPE_CHECKING:
    from dnnrepair.population.tail import Tail


def rest_of(tail: Tail) -> GraphProgram:
    """Return a program whose inputs are what a tail reads, in the order in which it records them.

    Nodes and parameters keep their names; parameters that only the front reads are left out, and
    nothing is overwritten in place.

    Args:
        tail: of a graph, with at least one step.
    """
    program = tail.program
    assert isinstance(program, GraphProgram)  # noqa: S101 - that has steps
    graph = fx.Graph()
    named = {node.name: node for node in program.graph.nodes}
    recorded = {key: _placeholder(graph, named[key[1]]) for key in tail.reads}
    env: dict[str, fx.Node] = {}
    tensor_of_node: dict[str, str] = {}
    for step in tail.steps:

        def found(source: fx.Node) -> fx.Node:
            if source.name in env:
                return env[source.name]
            if source.name not in program.tensor_of_node:
                return recorded[maker_of(step, source)]  # noqa: B023 - used in this round only
            env[source.name] = node = _placeholder(graph, source)
            tensor_of_node[node.name] = program.tensor_of_node[source.name]
            return node

        for source in step.node.all_input_nodes:
            found(source)  # placeholders stand in front of the operation that reads them
        own = graph.node_copy(step.node, found)
        own.target = step.operation
        env.update(dict.fromkeys(step.names, own))
    graph.output((env[str(program.sites.output)],))
    read = set(tensor_of_node.values())
    return replace(
        program,
        graph=graph,
        tensors={name: value for name, value in program.tensors.items() if name in read},
        tensor_of_node=tensor_of_node,
        prediction=None,
    )


def _placeholder(graph: fx.Graph, source: fx.Node) -> fx.Node:
    node = graph.placeholder(source.name)
    node.meta = dict(source.meta)
    return node
