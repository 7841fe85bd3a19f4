"""Operators whose call in torch's functions takes its arguments in another form."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx

Write = Callable[[Any], str]
_END = sys.maxsize


def _named(node: fx.Node) -> Mapping[str, Any]:
    names = [a.name for a in node.target._schema.arguments]  # type: ignore[union-attr]  # noqa: SLF001
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _batch_norm(node: fx.Node, write: Write) -> str:
    given = _named(node)
    training = "self.training" if given["training"] is False else write(given["training"])
    tensors = ", ".join(write(given[k]) for k in ("input", "running_mean", "running_var"))
    rest = ", ".join(f"{key}={write(given[key])}" for key in ("weight", "bias"))
    return (
        f"F.batch_norm({tensors}, {rest}, training={training}, "
        f"momentum={write(given['momentum'])}, eps={write(given['eps'])})"
    )


def _layer_norm(node: fx.Node, write: Write) -> str:
    given = _named(node)
    parts = [write(given["input"]), write(given["normalized_shape"])]
    parts += [f"{key}={write(given[key])}" for key in ("weight", "bias", "eps") if key in given]
    return f"F.layer_norm({', '.join(parts)})"


def _group_norm(node: fx.Node, write: Write) -> str:
    given = _named(node)
    parts = [write(given["input"]), write(given["num_groups"])]
    parts += [f"{key}={write(given[key])}" for key in ("weight", "bias", "eps") if key in given]
    return f"F.group_norm({', '.join(parts)})"


def _dropout(node: fx.Node, write: Write) -> str:
    given, name = _named(node), node.target.overloadpacket.__name__  # type: ignore[union-attr]
    train = "self.training" if given["train"] is False else write(given["train"])
    return f"F.{name}({write(given['input'])}, p={write(given['p'])}, training={train})"


def _embedding(node: fx.Node, write: Write) -> str | None:
    plain = len(node.args) == 2 and not node.kwargs  # noqa: PLR2004 - table and numbers
    return f"F.embedding({write(node.args[1])}, {write(node.args[0])})" if plain else None


def _elu(node: fx.Node, write: Write) -> str | None:
    given = _named(node)
    if given.get("scale", 1) != 1 or given.get("input_scale", 1) != 1:
        return None
    return f"F.elu({write(given['self'])}, alpha={write(given.get('alpha', 1.0))})"


def _size(node: fx.Node, write: Write) -> str:
    return f"{write(node.args[0])}.size({write(node.args[1])})"


def _slice(node: fx.Node, write: Write) -> str | None:
    given = _named(node)
    dim = given.get("dim", 0)
    if not isinstance(dim, int) or dim < 0:
        return None
    start, end, step = given.get("start"), given.get("end"), given.get("step", 1)
    first = "" if start in (None, 0) else write(start)
    last = "" if end is None or end == _END else write(end)
    every = "" if step == 1 else f":{write(step)}"
    return f"{write(given['self'])}[{':, ' * dim}{first}:{last}{every}]"


SPECIAL: Mapping[str, Callable[[fx.Node, Write], str | None]] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "alpha_dropout": _dropout,
    "dropout": _dropout,
    "embedding": _embedding,
    "elu": _elu,
    "sym_size": _size,
    "slice": _slice,
}
