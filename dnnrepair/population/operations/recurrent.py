"""LSTM, GRU and RNN layers: gates of all candidates at once, one step after another.

Values lie units first, ``(units, p, n)``: a gate is then a block of rows, and a patched weight adds
its change times a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import rule, varies
from dnnrepair.population.values import Dense, Edited, Shared, Sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.population.call import Call

    Cell = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


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
    if not varies(params):
        return _unpatched(call, source, initial)
    if not all(isinstance(p, Tensor | Edited) for p in params):
        return NotImplemented
    per_direction = 4 if call.get("has_biases") else 2
    directions = 2 if call.get("bidirectional") else 1
    if len(params) != per_direction * directions * call.get("num_layers"):
        return NotImplemented  # projections
    return _Layers.of(call, source, initial, per_direction, directions).run()


def _unpatched(call: Call, source: Any, initial: Sequence[Any]) -> Any:  # noqa: ANN401 - values
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
    return values.unflatten(1, (p, -1)).movedim(1, 0)


def _whole(state: Any) -> Tensor:  # noqa: ANN401 - a tensor, or one that is fetched
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
    source: Any
    initial: Sequence[Any]
    params: Sequence[Sequence[Any]]
    directions: int
    cell: Cell

    @classmethod
    def of(
        cls, call: Call, source: Any, initial: Sequence[Any], per: int, directions: int  # noqa: ANN401
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
            outputs = []
            for direction in range(self.directions):
                steps, states = self._direction(layer, direction, inputs)
                outputs.append(steps)
                last.append(states)
            joined = zip(*outputs, strict=True)
            inputs = [torch.cat(step) if len(step) > 1 else step[0] for step in joined]
        outputs_first = torch.stack(inputs)  # (T, units, p, n)
        order = (2, 3, 0, 1) if self.call.get("batch_first") else (2, 0, 3, 1)
        ends = tuple(self._ends(kind, first, last) for kind in range(len(self.initial)))
        return Dense(outputs_first.permute(order)), *ends

    def _first_varying(self) -> int:
        if not isinstance(self.source, Shared):
            return 0
        patched = [place for place, group in enumerate(self.params) if varies(list(group))]
        return patched[0] // self.directions

    def _inputs(self, first: int) -> list[Tensor]:
        """Return the inputs of the first layer that varies, ``(features, p or 1, n)`` a step."""
        if isinstance(self.source, Shared):
            key = (self.call.name, "inputs")
            whole = self.source.frame.get(key, lambda live: self._below(live, first))
            return [step.unsqueeze(1) for step in whole]
        values = self.source.dense() if isinstance(self.source, Sparse) else self.source.values
        steps = values.permute((2, 3, 0, 1) if self.call.get("batch_first") else (1, 3, 0, 2))
        return list(steps.contiguous())

    def _below(self, live: Any, first: int) -> Tensor:  # noqa: ANN401 - values by name
        """Return the outputs of the layers before ``first``, ``(T, features, n)``."""
        values: Tensor = self.source.read(live)
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
        self, layer: int, direction: int, inputs: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        place = layer * self.directions + direction
        weights = _Weights.of(self.call, self.params[place], place)
        hidden, *cells = (self._initial(state, place) for state in self.initial)
        cell = cells[0] if cells else hidden
        shared = isinstance(self.source, Shared) and layer == self._first_varying()
        steps: list[Tensor] = []
        order = range(len(inputs))
        for time in reversed(order) if direction else order:
            known = (place, time) if shared else None
            entering = weights.of_input(inputs[time], known)
            hidden, cell = self.cell(entering, weights.of_hidden(hidden), hidden, cell)
            steps.append(hidden)
        return steps[::-1] if direction else steps, [hidden, cell][: len(self.initial)]

    def _initial(self, state: Any, place: int) -> Tensor:  # noqa: ANN401 - a tensor or Shared
        def first(value: Tensor) -> Tensor:
            return value[place].t().contiguous()

        own = state.derived((self.call.name, place), first) if isinstance(state, Shared) else (
            first(state)
        )
        return own.unsqueeze(1).expand(-1, len(self.call.chunk), -1)  # (units, p, n)

    def _ends(self, kind: int, first: int, last: list[list[Tensor]]) -> Dense:
        """Return the last states of all layers, ``(p, layers * directions, n, units)``."""
        count = first * self.directions
        ends = torch.stack([states[kind] for states in last]).permute(2, 0, 3, 1)
        if count:
            whole = self.source.frame.get(
                (self.call.name, "ends", kind), lambda live: self.call.out.read(live)[kind + 1][:count]
            )
            ends = torch.cat([whole.expand(len(self.call.chunk), *whole.shape), ends], 1)
        return Dense(ends)


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weights of one layer and direction, ``(gates * units, ...)``, and what is patched.

    Attributes:
        of_x, of_h: unpatched weights with one more column per patched weight, which is 1 in the
            row that the patched weight feeds.
        bias_x, bias_h: unpatched biases, ``(gates * units, 1)``, or None.
        places_x, places_h: column of the values and input feature (None for a bias) of each.
        change: of the patched weights, ``(k, p)``.
    """

    call: Call
    of_x: Tensor
    of_h: Tensor
    bias_x: Tensor | None
    bias_h: Tensor | None
    places_x: tuple[tuple[int, int | None], ...]
    places_h: tuple[tuple[int, int | None], ...]

    @classmethod
    def of(cls, call: Call, group: Sequence[Any], place: int) -> _Weights:
        def make() -> tuple[Any, ...]:
            parts = [*group, None, None][:4]
            of_x, places_x = _extended(parts[0], parts[2])
            of_h, places_h = _extended(parts[1], parts[3])
            return of_x, of_h, _column(parts[2]), _column(parts[3]), places_x, places_h

        return cls(call, *call.constant(("weights", place), make))

    def of_input(self, step: Tensor, known: tuple[int, int] | None) -> Tensor:
        """Return what one step's input ``(features, p or 1, n)`` adds to the gates.

        ``known`` names a step that all candidates share: its product is computed once.
        """
        if known is None:
            return _product(self.of_x, self.bias_x, [step, *self._changes(step, self.places_x)])
        width = len(step)
        base: Tensor = self.call.frame.get(
            (self.call.name, "projected", *known),
            lambda _: _product(self.of_x[:, :width], self.bias_x, [step]),
        )
        extra = self._changes(step, self.places_x)
        return base + _product(self.of_x[:, width:], None, extra) if extra else base

    def of_hidden(self, hidden: Tensor) -> Tensor:
        """Return what the hidden state ``(units, p, n)`` adds to the gates."""
        extra = self._changes(hidden, self.places_h)
        return _product(self.of_h, self.bias_h, [hidden, *extra])

    def _changes(
        self, values: Tensor, places: tuple[tuple[int, int | None], ...]
    ) -> list[Tensor]:
        """Return each patched weight's change times the value it weighs, ``(k, p, n)``."""
        if not places:
            return []
        columns = self.call.frame.constants.index(tuple(column for column, _ in places))
        change = self.call.chunk.column_last(columns).unsqueeze(2)  # (k, p, 1)
        ones = torch.ones_like(values[:1])
        taken = [ones if feature is None else values[feature : feature + 1] for _, feature in places]
        return [torch.cat(taken) * change]


def _product(weight: Tensor, bias: Tensor | None, rows: list[Tensor]) -> Tensor:
    """Return ``weight`` times rows ``(..., p, n)``, one below the other."""
    joined = torch.cat(rows) if len(rows) > 1 else rows[0]
    flat = joined.reshape(len(joined), -1)
    out = weight @ flat if bias is None else torch.addmm(bias, weight, flat)
    return out.view(-1, *joined.shape[1:])


def _extended(weight: Any, bias: Any) -> tuple[Tensor, tuple[tuple[int, int | None], ...]]:  # noqa: ANN401
    base = weight.base if isinstance(weight, Edited) else weight
    entries: list[tuple[int, int, int | None]] = []
    if isinstance(weight, Edited):
        found = zip(weight.columns, weight.indices, strict=True)
        entries += [(column, row, feature) for column, (row, feature) in found]
    if isinstance(bias, Edited):
        entries += [(c, row, None) for c, (row,) in zip(bias.columns, bias.indices, strict=True)]
    feeds = base.new_zeros(len(base), len(entries))
    for place, (_, row, _) in enumerate(entries):
        feeds[row, place] = 1
    return torch.cat([base, feeds], 1), tuple((column, feature) for column, _, feature in entries)


def _column(bias: Any) -> Tensor | None:  # noqa: ANN401 - a bias
    if bias is None:
        return None
    return (bias.base if isinstance(bias, Edited) else bias).unsqueeze(1)


def lstm_cell(x: Tensor, h: Tensor, _hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Hochreiter and Schmidhuber (1997) with a forget gate; torch's order is i, f, g, o."""
    gates = h.add_(x)
    i, f, g, o = gates.chunk(4)
    gates[: 2 * len(i)].sigmoid_()
    o.sigmoid_()
    cell = torch.addcmul(f * cell, i, g.tanh_())
    return o * cell.tanh(), cell


def gru_cell(x: Tensor, h: Tensor, hidden: Tensor, _cell: Tensor) -> tuple[Tensor, Tensor]:
    """Cho et al. (2014) with the reset gate after the product; torch's order is r, z, n."""
    r_x, z_x, n_x = x.chunk(3)
    r_h, z_h, n_h = h.chunk(3)
    z = (z_x + z_h).sigmoid_()
    new = torch.addcmul(n_x, (r_x + r_h).sigmoid_(), n_h).tanh_()
    found = torch.lerp(new, hidden, z)
    return found, found


def rnn_tanh_cell(x: Tensor, h: Tensor, _hidden: Tensor, _cell: Tensor) -> tuple[Tensor, Tensor]:
    """Elman (1990)."""
    found = h.add_(x).tanh_()
    return found, found


def rnn_relu_cell(x: Tensor, h: Tensor, _hidden: Tensor, _cell: Tensor) -> tuple[Tensor, Tensor]:
    """Elman (1990) with rectified units."""
    found = h.add_(x).relu_()
    return found, found


CELLS: dict[str, Cell] = {
    "lstm": lstm_cell,
    "gru": gru_cell,
    "rnn_tanh": rnn_tanh_cell,
    "rnn_relu": rnn_relu_cell,
}
