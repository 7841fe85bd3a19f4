"""Operations that write to memory or change with training mode, and how to run them purely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from dnnrepair.sites import KIND_OF_OP, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRAINING_FLAGS = frozenset({"training", "train", "use_input_stats"})
_RUNNING = frozenset({"running_mean", "running_var"})
_TRAINABLE_OPS = frozenset(
    [
        "batch_norm",
        "dropout",
        "dropout_",
        "feature_dropout",
        "feature_dropout_",
        "alpha_dropout",
        "alpha_dropout_",
        "feature_alpha_dropout",
        "feature_alpha_dropout_",
        "rrelu",
        "rrelu_",
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
    ]
)


@dataclass(frozen=True)
class Writes:
    """What a graph overwrites.

    Attributes:
        twins: by node name, the operation that computes the same into fresh memory.
        aliased: nodes whose target can be read under another name too; the result is copied back.
        roots: placeholders that would be written to; they are copied first.
    """

    twins: Mapping[str, Any]
    aliased: frozenset[str]
    roots: frozenset[str]


def find_writes(graph: fx.Graph) -> Writes:
    """Return the in-place operations of a graph."""
    twins: dict[str, Any] = {}
    aliased, roots = set[str](), set[str]()
    for node in graph.nodes:
        if node.op != "call_function" or not _mutates(node):
            continue
        twin = _twin(node)
        if twin is not None:
            twins[node.name] = twin
        target = node.all_input_nodes[0]
        if twin is None or _has_aliases(target, node):
            aliased.add(node.name)
            roots.add(_root(target).name)
    return Writes(twins, frozenset(aliased), frozenset(roots))


def in_training(node: fx.Node, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the positional arguments of a call as training mode would give them.

    Running statistics are copied, so that a batch norm in training mode updates only the copy.
    """
    if _name(node) not in _TRAINABLE_OPS:
        return args
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]  # noqa: SLF001
    return tuple(_training_value(n, v) for n, v in zip(names, args, strict=False))


def _training_value(name: str, value: Any) -> Any:  # noqa: ANN401 - any argument
    if name in _TRAINING_FLAGS:
        return True
    return value.clone() if name in _RUNNING and isinstance(value, torch.Tensor) else value


def _name(node: fx.Node) -> str:
    return getattr(getattr(node.target, "overloadpacket", None), "__name__", "")


def _mutates(node: fx.Node) -> bool:
    name = _name(node)
    return name.endswith("_") and not name.endswith("__") and bool(node.all_input_nodes)


def _twin(node: fx.Node) -> Any | None:  # noqa: ANN401 - an operator overload
    packet = getattr(torch.ops.aten, _name(node).rstrip("_"), None)
    return getattr(packet, getattr(node.target, "_overloadname", ""), None)


def _is_view(node: fx.Node) -> bool:
    return KIND_OF_OP.get(_name(node)) is Kind.VIEW


def _has_aliases(target: fx.Node, writer: fx.Node) -> bool:
    return _is_view(target) or any(_is_view(u) for u in target.users if u is not writer)


def _root(node: fx.Node) -> fx.Node:
    while _is_view(node) and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node
