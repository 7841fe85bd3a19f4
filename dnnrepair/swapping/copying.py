"""A program's graph copied, with its tensors as attributes and without writes to memory."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import fx

from dnnrepair.errors import ModelError
from dnnrepair.graph import is_ignored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.program import GraphProgram

_CREATORS = {"zeros": "new_zeros", "ones": "new_ones", "full": "new_full"}


def copied(program: GraphProgram) -> fx.Graph:
    """Return the graph with its tensors as attributes and without writes to memory."""
    graph = fx.Graph()
    known: dict[fx.Node, fx.Node] = {}
    first: fx.Node | None = None
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name not in program.tensor_of_node:
            known[node] = graph.node_copy(node)
            first = first or known[node]
    for node in program.graph.nodes:
        if node in known or is_ignored(node):
            continue
        if node.name in program.tensor_of_node:
            if node.users:
                target = program.tensor_of_node[node.name]
                known[node] = graph.create_node("get_attr", target, name=node.name)
                known[node].meta = copy.copy(node.meta)
        elif node.op == "output":
            (values,) = fx.map_arg(node.args, lambda n: known[n])
            flat = tuple(values) if isinstance(values, list | tuple) else (values,)
            graph.output(flat)
        elif node.op == "call_function" and _plain(node):
            known[node] = _call(graph, node, known, first)
            if node.name in program.writes.twins.keys() - program.writes.aliased:
                known[node].target = program.writes.twins[node.name]
                known[node.all_input_nodes[0]] = known[node]  # what is read there from now on
        else:
            held = next(iter(node.users), node) if node.op == "get_attr" else node
            name = getattr(held.target, "__name__", held.target)
            message = (
                f"the graph holds {name} (control flow, or a block under torch.no_grad), which "
                "cannot be written out as plain code; write it as torch.where, or outside of the "
                "block"
            )
            raise ModelError(message)
    return graph


def _plain(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) or (  # noqa: SLF001 - torch's own type
        getattr(node.target, "__module__", "") in ("_operator", "math", "builtins", "torch")
    )


def _call(
    graph: fx.Graph, node: fx.Node, known: Mapping[fx.Node, fx.Node], first: fx.Node | None
) -> fx.Node:
    """Copy a call; what it makes out of nothing lies where the input lies."""
    made = graph.node_copy(node, lambda n: known[n])
    name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
    if name in _CREATORS and "device" in made.kwargs and first is not None:
        kwargs = {k: v for k, v in made.kwargs.items() if k in ("dtype", "layout")}
        made.target = getattr(torch.ops.aten, _CREATORS[name]).default
        made.args, made.kwargs = (first, *made.args), kwargs
    return made
