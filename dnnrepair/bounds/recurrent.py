"""Rules of recurrent layers: step by step, gate by gate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from dnnrepair.bounds.affine import linear
from dnnrepair.bounds.arithmetic import add, mul, sub
from dnnrepair.bounds.enclosing import relu, sigmoid, tanh
from dnnrepair.bounds.patched import Patched
from dnnrepair.bounds.rule import UnboundedError, bound
from dnnrepair.bounds.views import cat, stack
from dnnrepair.bounds.zonotope import Value, Zonotope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Weight: TypeAlias = "Value | Patched"
State: TypeAlias = "tuple[Value, ...]"  # hidden, and for an LSTM the cell; (N, width) each


def _lstm(inner: Value, outer: Value, state: State) -> State:
    entry, forget, fresh, out = _gates(add(inner, outer), 4)
    cell = add(mul(_sigmoid(forget), state[1]), mul(_sigmoid(entry), _tanh(fresh)))
    return mul(_sigmoid(out), _tanh(cell)), cell


def _gru(inner: Value, outer: Value, state: State) -> State:
    reset, keep, fresh = _gates(inner, 3)
    reset_h, keep_h, fresh_h = _gates(outer, 3)
    gate = _sigmoid(add(keep, keep_h))
    new = _tanh(add(fresh, mul(_sigmoid(add(reset, reset_h)), fresh_h)))
    return (add(new, mul(gate, sub(state[0], new))),)


def _rnn_tanh(inner: Value, outer: Value, _state: State) -> State:
    return (_tanh(add(inner, outer)),)


def _rnn_relu(inner: Value, outer: Value, _state: State) -> State:
    found = add(inner, outer)
    return (relu(found) if isinstance(found, Zonotope) else torch.relu(found),)


def _recur(
    step: Callable[[Value, Value, State], State],
    x: Value | Patched,
    start: Sequence[Value],
    options: Sequence[Any],
) -> tuple[Value, ...]:
    """Return output and last states, as torch orders them; ``options`` are its arguments."""
    params, has_biases, layers, dropout, train, bidirectional, batch_first = options
    if (dropout and train) or isinstance(x, Patched) or x.dim() != 3:  # noqa: PLR2004
        message = "no interval rule for a recurrent layer that drops units or takes no batch"
        raise UnboundedError(message)
    steps = _unbound(x, 1 if batch_first else 0)
    each, directions = (4 if has_biases else 2), (2 if bidirectional else 1)
    if len(params) != each * layers * directions:
        message = "no interval rule for a recurrent layer with projections"
        raise UnboundedError(message)
    lasts: list[State] = []
    for layer in range(layers):
        ways: list[list[Value]] = []
        for way in range(directions):
            index = layer * directions + way
            weights = params[index * each : (index + 1) * each]
            state = tuple(_unbound(s, 0)[index] for s in start)
            outputs, last = _pass(step, steps[::-1] if way else steps, state, weights)
            ways.append(outputs[::-1] if way else outputs)
            lasts.append(last)
        steps = [_cat(list(parts), -1) for parts in zip(*ways, strict=True)]
    states = tuple(_stack([last[i] for last in lasts], 0) for i in range(len(start)))
    return (_stack(steps, 1 if batch_first else 0), *states)


def _pass(
    step: Callable[[Value, Value, State], State],
    inputs: Sequence[Value],
    state: State,
    weights: Sequence[Weight],
) -> tuple[list[Value], State]:
    """Run one layer in one direction; ``weights`` are torch's w_ih, w_hh, b_ih, b_hh."""
    biases = weights[2:] or (None, None)
    outputs: list[Value] = []
    for x in inputs:
        inner = linear(x, weights[0], biases[0])
        state = step(inner, linear(state[0], weights[1], biases[1]), state)
        outputs.append(state[0])
    return outputs, state


@bound("lstm", sparse=True)
def lstm(x: Value | Patched, start: Sequence[Value], *options: Any) -> tuple[Value, ...]:  # noqa: ANN401
    """Bound an LSTM: its outputs, last hidden and last cell states."""
    return _recur(_lstm, x, start, options)


@bound("gru", sparse=True)
def gru(x: Value | Patched, start: Value, *options: Any) -> tuple[Value, ...]:  # noqa: ANN401
    """Bound a GRU: its outputs and last states."""
    return _recur(_gru, x, [start], options)


@bound("rnn_tanh", sparse=True)
def rnn_tanh(x: Value | Patched, start: Value, *options: Any) -> tuple[Value, ...]:  # noqa: ANN401
    """Bound an Elman network: its outputs and last states."""
    return _recur(_rnn_tanh, x, [start], options)


@bound("rnn_relu", sparse=True)
def rnn_relu(x: Value | Patched, start: Value, *options: Any) -> tuple[Value, ...]:  # noqa: ANN401
    """Bound an Elman network with ReLU: its outputs and last states."""
    return _recur(_rnn_relu, x, [start], options)


def _gates(x: Value, count: int) -> list[Value]:
    if isinstance(x, Tensor):
        return list(x.chunk(count, -1))
    width = x.shape[-1] // count
    return [x.map(partial(_narrowed, i * width, width)) for i in range(count)]


def _narrowed(start: int, length: int, part: Tensor) -> Tensor:
    return part.narrow(-1, start, length)


def _unbound(x: Value, dim: int) -> list[Value]:
    if isinstance(x, Tensor):
        return list(x.unbind(dim))
    return [x.map(partial(_selected, dim, i)) for i in range(x.shape[dim])]


def _selected(dim: int, place: int, part: Tensor) -> Tensor:
    return part.select(dim, place)


def _sigmoid(x: Value) -> Value:
    return sigmoid(x) if isinstance(x, Zonotope) else torch.sigmoid(x)


def _tanh(x: Value) -> Value:
    return tanh(x) if isinstance(x, Zonotope) else torch.tanh(x)


def _cat(values: list[Value], dim: int) -> Value:
    tensors = [value for value in values if isinstance(value, Tensor)]
    return torch.cat(tensors, dim) if len(tensors) == len(values) else cat(values, dim)


def _stack(values: list[Value], dim: int) -> Value:
    tensors = [value for value in values if isinstance(value, Tensor)]
    return torch.stack(tensors, dim) if len(tensors) == len(values) else stack(values, dim)
