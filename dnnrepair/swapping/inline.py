"""A module's operations put into a draft in place of one node."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import ModelError
from dnnrepair.export import export_module
from dnnrepair.loading.quiet import first_line
from dnnrepair.program import GraphProgram
from dnnrepair.swapping.draft import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx, nn


def prepared(module: nn.Module, shape: Sequence[int], kind: torch.dtype) -> Draft:
    """Return a module that takes one tensor and gives one, ready to be put into drafts.

    Args:
        module: of plain torch.
        shape: of what it reads, samples first.
        kind: type of what it reads.

    Raises:
        ModelError: torch cannot export the module.
    """
    example = torch.zeros(max(2, shape[0]), *shape[1:], dtype=kind)
    try:
        exported = export_module(module.eval(), (example,))
    except Exception as error:
        message = f"torch cannot export {type(module).__name__} ({first_line(error)})"
        raise ModelError(message) from error
    return Draft.of(GraphProgram.of(exported))


def inlined(
    draft: Draft, at: fx.Node, inner: Draft, place: str, after: fx.Node | None = None
) -> fx.Node:
    """Insert a module that reads one node's value, right after that node or a later one.

    Its parameters become tensors of the draft, called ``place`` and a dot before their names.

    Args:
        draft: to be changed.
        at: the node that the module reads.
        inner: the module, from :func:`prepared`.
        place: name for the module, which no tensor has.
        after: the later node.

    Returns:
        The node with what the module gives; nobody reads it yet.
    """
    known: dict[fx.Node, fx.Node] = {}
    last = found = after or at
    for node in inner.graph.nodes:
        if node.op == "placeholder":
            known[node] = at
        elif node.op == "get_attr":
            name = str(node.target)
            buffer = name in inner.buffers
            known[node] = draft.add(f"{place}.{name}", inner.tensors[name], buffer=buffer)
        elif node.op == "output":
            (values,) = node.args
            (result,) = values
            found = known[result]
        else:
            with draft.graph.inserting_after(last):
                last = draft.graph.node_copy(node, lambda n: known[n])
            last.meta = copy.copy((after or at).meta)
            known[node] = last
    draft.structural = True
    return found


def kind_of(draft: Draft) -> torch.dtype:
    """Return the type of the network's numbers."""
    return next(t.dtype for t in draft.tensors.values() if t.is_floating_point())
