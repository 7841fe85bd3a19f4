"""A recurrent operation taken apart into its layers and directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

BLOCKS = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}  # gates, by kind of cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Gating:
    """The parameters of one layer in one direction.

    Attributes:
        w_ih: ``(blocks * units, features)``.
        w_hh: ``(blocks * units, units)``.
        b_ih, b_hh: ``(blocks * units,)``, or None.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One layer of a recurrent operation in one direction, steps in the order it takes them.

    Attributes:
        layer: its number, from 0.
        way: 0 forward, 1 backward in time.
        x: what it reads, ``(T, B, features)``.
        states: before the first step, each ``(1, B, units)``: hidden, and of an LSTM the cell.
        weights: its parameters.
        output: hidden states after each step, ``(T, B, units)``.
        last: states after the last step, as ``states``.
    """

    layer: int
    way: int
    x: Tensor
    states: tuple[Tensor, ...]
    weights: Gating
    output: Tensor
    last: tuple[Tensor, ...]

    @property
    def before(self) -> Tensor:
        """Hidden states before each step, ``(T, B, units)``."""
        return torch.cat([self.states[0], self.output[:-1]])


def is_plain(arguments: Mapping[str, Any]) -> bool:
    """Tell whether the inputs are whole sequences, not packed ones, and states as wide as units."""
    if arguments.get("batch_sizes") is not None or arguments["input"].dim() != 3:  # noqa: PLR2004
        return False
    return _each(arguments) == (4 if arguments["has_biases"] else 2)


def unroll(cell: str, arguments: Mapping[str, Any]) -> Iterator[Direction]:
    """Yield the layers and directions of a call, in the order of its parameters.

    Args:
        cell: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        arguments: of a call for which :func:`is_plain`, by schema name.
    """
    batch_first = bool(arguments.get("batch_first"))
    x = arguments["input"].transpose(0, 1) if batch_first else arguments["input"]  # (T, B, I)
    params, each, biased = list(arguments["params"]), _each(arguments), arguments["has_biases"]
    states = states_of(arguments["hx"])
    for layer in range(int(arguments["num_layers"])):
        outputs = []
        for way in range(_ways(arguments)):
            place = layer * _ways(arguments) + way
            first = tuple(state[place : place + 1] for state in states)
            mine = params[place * each : (place + 1) * each]
            steps = x.flip(0) if way else x
            output, last = _run(cell, steps, first, mine, biased=biased)
            yield Direction(
                layer=layer,
                way=way,
                x=steps,
                states=first,
                weights=_gating(mine, biased=biased),
                output=output,
                last=last,
            )
            outputs.append(output.flip(0) if way else output)
        x = torch.cat(outputs, dim=-1)


def joined(directions: Sequence[Direction], *, batch_first: bool) -> tuple[Tensor, ...]:
    """Return what the operation returns: outputs, and the last states of all layers."""
    top = [found for found in directions if found.layer == directions[-1].layer]
    outputs = torch.cat([d.output.flip(0) if d.way else d.output for d in top], dim=-1)
    last = zip(*(found.last for found in directions), strict=True)
    return outputs.transpose(0, 1) if batch_first else outputs, *map(torch.cat, last)


def states_of(hx: Any) -> list[Tensor]:  # noqa: ANN401 - a tensor or a pair of them
    """Return the states that a call begins with: hidden, and of an LSTM the cell."""
    return list(hx) if isinstance(hx, tuple | list) else [hx]


def _each(arguments: Mapping[str, Any]) -> int:
    """Return the number of parameters of one layer in one direction."""
    return len(arguments["params"]) // (int(arguments["num_layers"]) * _ways(arguments))


def _ways(arguments: Mapping[str, Any]) -> int:
    return 2 if arguments.get("bidirectional") else 1


def _gating(mine: Sequence[Tensor], *, biased: bool) -> Gating:
    b_ih, b_hh = (mine[2], mine[3]) if biased else (None, None)
    return Gating(w_ih=mine[0], w_hh=mine[1], b_ih=b_ih, b_hh=b_hh)


def _run(
    cell: str, x: Tensor, states: tuple[Tensor, ...], mine: Sequence[Tensor], *, biased: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    state = list(states) if cell == "lstm" else states[0]
    found = getattr(torch, cell)(x, state, list(mine), biased, 1, 0.0, False, False, False)  # noqa: FBT003
    output, _, *cells = found
    return output, (output[-1:], *cells)
