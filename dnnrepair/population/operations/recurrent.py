"""LSTM, GRU and RNN layers: gates of all candidates at once, one step after another.

Gates and cells are in :mod:`dnnrepair.population.operations.gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import rule, varies
from dnnrepair.population.operations.gates import CELLS, Gates
from dnnrepair.population.values import Dense, Edited, Shared, Sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.call import Call
    from dnnrepair.population.operations.gates import Cell

Source = Shared | Sparse | Dense
State = Tensor | Shared


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(call: Call) -> Any:  # noqa: ANN401 - outputs and last states
    """Run all layers and directions."""
    source, initial, params = call.input, call.get("hx"), call.get("params")
    initial = list(initial) if isinstance(initial, list | tuple) else [initial]
    known = isinstance(source, Shared | Sparse | Dense) and not any(map(varies, initial))
    if not known or call.get("batch_sizes") is not None or call.get("train", False):
        return NotImplemented
    if not all(isinstance(state, Shared | Tensor) for state in initial):
        return NotImplemented
    if not varies(params) and isinstance(source, Sparse | Dense):
        return _unpatched(call, source, initial)
    if not all(isinstance(p, Tensor | Edited) for p in params):
        return NotImplemented
    per_direction = 4 if call.get("has_biases") else 2
    directions = 2 if call.get("bidirectional") else 1
    if len(params) != per_direction * directions * call.get("num_layers"):
        return NotImplemented  # projections
    return _Layers.of(call, source, initial, per_direction, directions).run()


def _unpatched(call: Call, source: Sparse | Dense, initial: Sequence[State]) -> Any:  # noqa: ANN401 - values
    """Fold the candidates into the batch; only the input differs."""
    values = source.dense() if isinstance(source, Sparse) else source.values
    batch_first, p = call.get("batch_first"), len(call.chunk)
    folded = values.flatten(0, 1) if batch_first else values.movedim(0, 1).flatten(1, 2)
    states = [_whole(state).repeat(1, p, 1) for state in initial]
    given = states if len(states) > 1 else states[0]
    outputs, *last = call.operation(folded, given, *call.args[2:], **call.kwargs)
    first = outputs.unflatten(0, (p, -1)) if batch_first else _unfolded(outputs, p)
    return (Dense(first), *(Dense(_unfolded(state, p)) for state in last))


def _unfolded(values: Tensor, p: int) -> Tensor:
    parts: Tensor = values.unflatten(1, (p, -1))
    return parts.movedim(1, 0)


def _whole(state: State) -> Tensor:
    found: Tensor = state.whole() if isinstance(state, Shared) else state
    return found


@dataclass(frozen=True, slots=True)
class _Layers:
    """A stack of recurrent layers, some of whose weights are patched.

    Attributes:
        call: the operation.
        source: its input.
        initial: hidden (and cell) states, ``(layers * directions, n, units)``.
        params: of each layer and direction.
        directions: 1 or 2.
        cell: one step.
    """

    call: Call
    source: Source
    initial: Sequence[State]
    params: Sequence[Sequence[Any]]
    directions: int
    cell: Cell

    @classmethod
    def of(
        cls,
        call: Call,
        source: Source,
        initial: Sequence[State],
        per: int,
        directions: int,
    ) -> _Layers:
        params = call.get("params")
        groups = [params[i : i + per] for i in range(0, len(params), per)]
        return cls(call, source, initial, groups, directions, CELLS[call.op])

    def run(self) -> tuple[Dense, ...]:
        """Return outputs and last states."""
        first = self._first_varying()
        inputs = self._inputs(first)
        last: list[list[Tensor]] = []
        for layer in range(first, len(self.params) // self.directions):
            outputs = self._room(len(inputs))
            for direction, own in enumerate(outputs.chunk(self.directions, 1)):
                last.append(self._direction(layer, direction, inputs, own))
            inputs = outputs
        order = (2, 3, 0, 1) if self.call.get("batch_first") else (2, 0, 3, 1)
        ends = tuple(self._ends(kind, first, last) for kind in range(len(self.initial)))
        return Dense(inputs.permute(order)), *ends

    def _room(self, steps: int) -> Tensor:
        """Return memory for the outputs of a layer, ``(T, directions * units, p, n)``."""
        _, n, units = self.initial[0].shape
        values = self.call.chunk.values
        return values.new_empty(steps, self.directions * units, len(values), n)

    def _first_varying(self) -> int:
        if not isinstance(self.source, Shared):
            return 0
        patched = [place for place, group in enumerate(self.params) if varies(list(group))]
        return patched[0] // self.directions

    def _inputs(self, first: int) -> Tensor:
        """Return the inputs of the first layer that varies, ``(T, features, p or 1, n)``."""
        if isinstance(self.source, Shared):
            key = (self.call.name, "inputs")
            whole: Tensor = self.call.frame.get(key, lambda live: self._below(live, first))
            return whole.unsqueeze(2)
        values = self.source.dense() if isinstance(self.source, Sparse) else self.source.values
        steps = values.permute((2, 3, 0, 1) if self.call.get("batch_first") else (1, 3, 0, 2))
        return steps.contiguous()

    def _below(self, live: Any, first: int) -> Tensor:  # noqa: ANN401 - values by name
        """Return the outputs of the layers before ``first``, ``(T, features, n)``."""
        values: Tensor = self.call.input.read(live)
        if first:
            count = first * self.directions
            states = [_whole(state)[:count].contiguous() for state in self.initial]
            weights = [p for group in self.params[:count] for p in group]
            given = states if len(states) > 1 else states[0]
            rest = (self.call.get("has_biases"), first, 0.0, False, self.directions == 2)  # noqa: PLR2004
            batch_first = self.call.get("batch_first")
            values = self.call.operation(values, given, weights, *rest, batch_first)[0]
        return values.permute((1, 2, 0) if self.call.get("batch_first") else (0, 2, 1))

    def _direction(
        self, layer: int, direction: int, inputs: Tensor, outputs: Tensor
    ) -> list[Tensor]:
        """Write the states of a layer and direction, ``(T, units, p, n)``; return the last ones."""
        place = layer * self.directions + direction
        gates = Gates.of(self.call, self.params[place], place)
        state, *cells = (self._initial(state, place) for state in self.initial)
        cell = 2 * cells[0] if cells else state  # doubled within the layer, see gates
        shared = isinstance(self.source, Shared) and layer == self._first_varying()
        order = range(len(inputs))
        for time in reversed(order) if direction else order:
            base = gates.of_shared(inputs[time], time) if shared else None
            self.cell(gates, inputs[time], base, state, cell, outputs[time])
            state = outputs[time]
        return [state, cell / 2] if cells else [state]

    def _initial(self, state: State, place: int) -> Tensor:
        def first(value: Tensor) -> Tensor:
            return value[place].t().contiguous()

        own = (
            state.derived((self.call.name, place), first)
            if isinstance(state, Shared)
            else (first(state))
        )
        return own.unsqueeze(1).expand(-1, len(self.call.chunk), -1)  # (units, p, n)

    def _ends(self, kind: int, first: int, last: list[list[Tensor]]) -> Dense:
        """Return the last states of all layers, ``(p, layers * directions, n, units)``."""
        count = first * self.directions
        ends = torch.stack([states[kind] for states in last]).permute(2, 0, 3, 1)
        if count:
            whole = self.call.frame.get(
                (self.call.name, "ends", kind),
                lambda live: self.call.out.read(live)[kind + 1][:count],
            )
            ends = torch.cat([whole.expand(len(self.call.chunk), *whole.shape), ends], 1)
        return Dense(ends)
