"""A network as a readable Python file that needs nothing but torch."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from dnnrepair.swapping.calls import constant, expression
from dnnrepair.swapping.holders import Holder, assignments, attribute, holders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.swapping.draft import Draft

_RESERVED = frozenset({"self", "torch", "F", "nn", "operator", "math", "Holder", "Net", "float"})
_WIDEST = 100  # columns of a line
_HEADER = '''"""{lines}"""

import math
import operator

import torch
from torch import nn
from torch.nn import functional as F


def parameter(*shape, dtype=torch.float32, trainable=True):
    """Return a parameter of zeros."""
    return nn.Parameter(torch.zeros(shape, dtype=dtype), requires_grad=trainable)


def buffer(*shape, dtype=torch.float32):
    """Return a buffer of zeros."""
    return nn.Buffer(torch.zeros(shape, dtype=dtype))


class Holder(nn.Module):
    """Parameters, buffers and other modules under their names."""

    def __init__(self, /, **members):  # a member may be called self
        super().__init__()
        for name, member in members.items():
            setattr(self, name, member)


class Net(nn.Module):
    """The network; its numbers are in the state dict."""

    def __init__(self):
        super().__init__()
'''


def source_of(draft: Draft, about: Sequence[str] = ()) -> str:
    """Return the Python file of a network, whose class is ``Net``.

    Args:
        draft: the network.
        about: lines of the file's docstring, the first one its summary.
    """
    root = holders(draft.tensors, frozenset(draft.buffers), frozenset(draft.trainable))
    lines = [*assignments(root), *_ties(draft, root)] or ["pass"]
    said = "\n".join(map(_quoted, about)) or "A network that needs nothing but torch."
    made = "".join(f"        {line}\n" for line in lines)
    head = _HEADER.format(lines=said + "\n" * (len(about) > 1))
    inputs = [_variable(node) for node in draft.graph.nodes if node.op == "placeholder"]
    body = "".join(f"        {line}\n" for line in _body(draft, root))
    return f"{head}{made}\n    def forward(self, {', '.join(inputs)}):\n{body}"


def module_of(draft: Draft, about: Sequence[str] = ()) -> nn.Module:
    """Return a network as a module that can be trained, in evaluation mode.

    It is an instance of the very class that :func:`source_of` writes. Batch norms and dropout
    follow its mode. What it returns is the prediction, or a tuple if the network returned more.
    """
    text = source_of(draft, about)
    file = f"<network {id(text):x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": "network"}
    exec(compile(text, file, "exec"), scope)  # noqa: S102 - written above from a graph of operations
    module: nn.Module = scope["Net"]()
    _fill(module, draft)
    return module.eval()


@torch.no_grad()
def _fill(module: nn.Module, draft: Draft) -> None:
    for name, value in draft.tensors.items():
        place, _, last = name.rpartition(".")
        held = getattr(module.get_submodule(place), last)
        held.copy_(value)


def _ties(draft: Draft, root: Holder) -> Iterator[str]:
    first: dict[int, str] = {}
    for name, value in draft.tensors.items():
        other = first.setdefault(id(value), name)
        if other != name:
            yield f"{attribute(root, name)} = {attribute(root, other)}  # one and the same"


def _body(draft: Draft, root: Holder) -> Iterator[str]:
    def write(value: Any) -> str:  # noqa: ANN401 - nodes and constants
        if isinstance(value, fx.Node):
            if value.op == "get_attr":
                return attribute(root, str(value.target))
            return _variable(value)
        if isinstance(value, list | tuple):
            inner = ", ".join(map(write, value))
            one = "," if isinstance(value, tuple) and len(value) == 1 else ""
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{one})"
        return constant(value)

    for node in draft.graph.nodes:
        if node.op == "call_function" and (node.users or _acts(node)):
            yield _wrapped(f"{_variable(node)} = {expression(node, write)}")
        elif node.op == "output":
            (values,) = node.args
            flat = values if isinstance(values, list | tuple) else (values,)
            yield f"return {', '.join(map(write, flat))}"


def _wrapped(line: str) -> str:
    """Return a statement, a call's arguments on lines of their own if it is long."""
    if len(line) + 8 <= _WIDEST or not line.endswith(")"):
        return line
    start = line.index("(")
    depth, parts = 0, [""]
    for character in line[start + 1 : -1]:
        depth += (character in "([") - (character in ")]")
        if depth < 0:  # the first parenthesis is not closed by the last one
            return line
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    inner = "".join(f"{' ' * 12}{part.strip()},\n" for part in parts)
    return f"{line[: start + 1]}\n{inner}{' ' * 8})"


def _acts(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable)


def _variable(node: fx.Node) -> str:
    return f"{node.name}_" if node.name in _RESERVED else node.name


def _quoted(line: str) -> str:
    """Return a line that cannot end the docstring that it stands in."""
    kept = "".join(c if c.isprintable() else " " for c in line)
    return kept.replace("\\", "\\\\").replace('"', "'")
