"""From a node of an exported graph to the line of Python that does the same."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from dnnrepair.swapping.spelled import SPECIAL

if TYPE_CHECKING:
    from dnnrepair.swapping.spelled import Write

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "floordiv": "//",
    "truediv": "/",
    "mod": "%",
    "eq": "==",
    "ge": ">=",
    "gt": ">",
    "le": "<=",
    "lt": "<",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# names that torch.nn.functional and torch give to the same operation with the same arguments
_FUNCTIONAL = _words(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear relu6 "
    "leaky_relu selu celu gelu silu mish softplus hardtanh hardswish hardsigmoid prelu "
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d scaled_dot_product_attention pad"
)
_TORCH = _words(
    "relu tanh sigmoid exp log sqrt rsqrt abs erf expm1 log1p sin cos maximum minimum where cat "
    "stack matmul mm bmm addmm flatten transpose permute unsqueeze squeeze softmax log_softmax "
    "clamp pow square reciprocal sum mean amax amin prod rrelu select unbind chunk split unflatten "
    "movedim logaddexp clone reshape lstm gru rnn_tanh rnn_relu bernoulli logical_and logical_not "
    "zeros_like ones_like full_like rand_like atan arctan heaviside sign floor round tril triu"
)
_METHODS = _words("view expand contiguous new_zeros new_ones new_full type_as masked_fill")
_TRAINING = frozenset({"train", "training"})
_SWITCHED = _words(
    "batch_norm dropout feature_dropout alpha_dropout feature_alpha_dropout rrelu lstm gru "
    "rnn_tanh rnn_relu"
)


def expression(node: fx.Node, write: Write) -> str:
    """Return Python for a call.

    Args:
        node: a ``call_function`` of an exported graph; torch's operator is named where torch has
            no function of its own for it.
        write: gives Python for a node or a constant that is an argument.
    """
    packet = getattr(node.target, "overloadpacket", None)
    if packet is None:
        return _builtin(node, write)
    name = str(packet.__name__)
    special = SPECIAL.get(name)
    found = special(node, write) if special else None
    if found is not None:
        return found
    infix = _infix(name, node, write)
    if infix is not None:
        return infix
    place, known = _place(name)
    if not known:
        return _operator(node, write)
    positional, named = _split(node)
    parts = [_flag(name, key, value, write) for key, value in positional]
    parts += [f"{key}={_flag(name, key, value, write)}" for key, value in named]
    if place == "method":
        return f"{parts[0]}.{name}({', '.join(parts[1:])})"
    return f"{place}.{name}({', '.join(parts)})"


def constant(value: Any) -> str:  # noqa: ANN401 - whatever a graph holds
    """Return Python for a constant argument."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value)
    return repr(value)


def _place(name: str) -> tuple[str, bool]:
    for place, names in (("F", _FUNCTIONAL), ("torch", _TORCH), ("method", _METHODS)):
        if name in names:
            return place, True
    return "", False


def _split(node: fx.Node) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Return the arguments given by place and those given by name, without defaults."""
    arguments = node.target._schema.arguments  # type: ignore[union-attr]  # noqa: SLF001
    given = list(node.args)
    keep = len(given)
    while keep > 1 and _is_default(arguments[keep - 1], given[keep - 1]):
        keep -= 1
    positional: list[tuple[str, Any]] = []
    named: list[tuple[str, Any]] = []
    for place, value in enumerate(given):
        plain = not isinstance(value, fx.Node) and place > 0
        name = arguments[place].name
        if named or (plain and _nameable(node, name)):
            if not _is_default(arguments[place], value):
                named.append((name, value))
        elif place < keep:
            positional.append((name, value))
    return positional, [*named, *((k, v) for k, v in node.kwargs.items())]


def _nameable(node: fx.Node, name: str) -> bool:
    """Whether torch's function takes the argument by the name in the operator's schema."""
    packet = getattr(node.target, "overloadpacket", None)
    own = str(getattr(packet, "__name__", ""))
    return own in _FUNCTIONAL and name != "self" and own != "pad"


def _is_default(argument: Any, value: Any) -> bool:  # noqa: ANN401 - torch.Argument
    if not argument.has_default_value() or isinstance(value, fx.Node):
        return False
    default = argument.default_value
    if isinstance(value, list | tuple) and isinstance(default, int):
        return all(part == default for part in value)
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return list(value) == list(default)
    return type(default) is type(value) and bool(default == value)


def _flag(name: str, key: str, value: Any, write: Write) -> str:  # noqa: ANN401 - any argument
    return "self.training" if _follows(name, key, value) else write(value)


def _follows(name: str, key: str, value: Any) -> bool:  # noqa: ANN401 - any argument
    """Whether an argument was False only because the network was exported in evaluation mode."""
    return name in _SWITCHED and key in _TRAINING and value is False


def _operator(node: fx.Node, write: Write) -> str:
    """Return a call of torch's operator itself, which every torch has."""
    target: Any = node.target
    names = [argument.name for argument in target._schema.arguments]  # noqa: SLF001
    name = target.overloadpacket.__name__
    parts = [_flag(name, key, v, write) for key, v in zip(names, node.args, strict=False)]
    parts += [f"{key}={write(value)}" for key, value in node.kwargs.items()]
    return f"torch.ops.{target.namespace}.{name}.{target._overloadname}({', '.join(parts)})"  # noqa: SLF001


def _infix(name: str, node: fx.Node, write: Write) -> str | None:
    plain = len(node.args) == 2 and not node.kwargs  # noqa: PLR2004 - the operands
    if name in ("add", "sub", "mul", "div") and plain:
        return f"{write(node.args[0])} {_INFIX[name]} {write(node.args[1])}"
    return f"-{write(node.args[0])}" if name == "neg" else None


def _builtin(node: fx.Node, write: Write) -> str:
    target: Any = node.target
    name = target.__name__
    if target is operator.getitem:
        return f"{write(node.args[0])}[{write(node.args[1])}]"
    parts = [write(value) for value in node.args]
    if name in _INFIX and len(parts) == 2:  # noqa: PLR2004 - the operands
        return f"{parts[0]} {_INFIX[name]} {parts[1]}"
    parts += [f"{key}={write(value)}" for key, value in node.kwargs.items()]
    module = {"_operator": "operator", "builtins": "", "math": "math"}.get(
        target.__module__, "torch"
    )
    return f"{module}{'.' * bool(module)}{name}({', '.join(parts)})"
