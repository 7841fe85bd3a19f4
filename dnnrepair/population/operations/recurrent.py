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

    Cell = Callable[["_Weights", Tensor, "Tensor | None", Tensor, Tensor], tuple[Tensor, Tensor]]


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
            base = weights.of_shared(inputs[time], time, apart=self.cell is _gru) if shared else None
            hidden, cell = self.cell(weights, inputs[time], base, hidden, cell)
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

    A patched weight is one more column, which is not 0 in the one row that it feeds; the value it
    multiplies is its change times what the weight weighs. All that feeds the LSTM's candidate gate
    is doubled, for ``tanh(x) = 2 sigmoid(2 x) - 1``: torch's sigmoid takes a quarter of the time.

    Attributes:
        call: the operation.
        place: number of the layer and direction.
        of_x, of_h: unpatched weights.
        feeds_x, feeds_h: the columns of patched weights.
        bias_x, bias_h: unpatched biases, ``(gates * units, 1)``, or None.
        places_x, places_h: column of the values and input feature (None for a bias) of each.
    """

    call: Call
    place: int
    of_x: Tensor
    of_h: Tensor
    feeds_x: Tensor
    feeds_h: Tensor
    bias_x: Tensor | None
    bias_h: Tensor | None
    places_x: tuple[tuple[int, int | None], ...]
    places_h: tuple[tuple[int, int | None], ...]

    @classmethod
    def of(cls, call: Call, group: Sequence[Any], place: int) -> _Weights:
        """Return the weights of a layer and direction, computed once."""

        def make() -> tuple[Any, ...]:
            parts = [*group, None, None][:4]
            scale = _scale(parts[0], candidate=call.op == "lstm")
            (of_x, feeds_x, places_x), (of_h, feeds_h, places_h) = (
                _split(*parts[i::2], scale) for i in (0, 1)
            )
            biases = (_column(part, scale) for part in parts[2:])
            return of_x, of_h, feeds_x, feeds_h, *biases, places_x, places_h

        return cls(call, place, *call.constant(("weights", place), make))

    def of_shared(self, step: Tensor, time: int, *, apart: bool) -> Tensor:
        """Return what an input that all candidates share adds to the gates, ``(gates, 1, n)``.

        Unless the hidden state's part is needed by itself (``apart``), its bias is in there.
        """
        bias = self.bias_x if apart else self._bias
        found: Tensor = self.call.frame.get(
            (self.call.name, "projected", self.place, time),
            lambda _: _product([self.of_x], [step], bias),
        )
        return found

    @property
    def _bias(self) -> Tensor | None:
        return None if self.bias_h is None or self.bias_x is None else self.bias_h + self.bias_x

    def apart(self, step: Tensor, base: Tensor | None, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return what input and hidden state add to the gates, ``(gates, p or 1, n)`` each."""
        extra_x = self._changes(step, self.places_x)
        if base is None:
            from_x = _product([self.of_x, self.feeds_x], [step, *extra_x], self.bias_x)
        else:
            from_x = base + _product([self.feeds_x], extra_x, None) if extra_x else base
        extra_h = self._changes(hidden, self.places_h)
        return from_x, _product([self.of_h, self.feeds_h], [hidden, *extra_h], self.bias_h)

    def together(self, step: Tensor, base: Tensor | None, hidden: Tensor) -> Tensor:
        """Return the sum of both in one product, ``(gates, p, n)``."""
        rows = [hidden, *self._changes(hidden, self.places_h), *self._changes(step, self.places_x)]
        parts = [self.of_h, self.feeds_h, self.feeds_x]
        bias = None
        if base is None:
            rows, parts, bias = [*rows, step], [*parts, self.of_x], self._bias
        joined = self.call.constant(
            ("joined", self.place, base is None), lambda: torch.cat(parts, 1)
        )
        gates = _product([joined], rows, bias)
        return gates if base is None else gates.add_(base)

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


def _product(weights: list[Tensor], rows: list[Tensor], bias: Tensor | None) -> Tensor:
    """Return weights side by side times rows ``(..., p, n)`` one below the other."""
    weight = torch.cat(weights, 1) if len(weights) > 1 else weights[0]
    joined = torch.cat(rows) if len(rows) > 1 else rows[0]
    flat = joined.reshape(len(joined), -1)
    out = weight @ flat if bias is None else torch.addmm(bias, weight, flat)
    return out.view(-1, *joined.shape[1:])


def _split(
    weight: Any, bias: Any, scale: Tensor  # noqa: ANN401 - tensors, some of them patched
) -> tuple[Tensor, Tensor, tuple[tuple[int, int | None], ...]]:
    """Return unpatched weights, columns for the patched ones, and what these are."""
    base = weight.base if isinstance(weight, Edited) else weight
    entries: list[tuple[int, int, int | None]] = []
    if isinstance(weight, Edited):
        found = zip(weight.columns, weight.indices, strict=True)
        entries += [(column, row, feature) for column, (row, feature) in found]
    if isinstance(bias, Edited):
        entries += [(c, row, None) for c, (row,) in zip(bias.columns, bias.indices, strict=True)]
    feeds = base.new_zeros(len(base), len(entries))
    for place, (_, row, _) in enumerate(entries):
        feeds[row, place] = scale[row]
    return base * scale.unsqueeze(1), feeds, tuple((column, feature) for column, _, feature in entries)


def _column(bias: Any, scale: Tensor) -> Tensor | None:  # noqa: ANN401 - a bias
    if bias is None:
        return None
    base: Tensor = bias.base if isinstance(bias, Edited) else bias
    return (base * scale).unsqueeze(1)


def _scale(weight: Any, *, candidate: bool) -> Tensor:  # noqa: ANN401 - a tensor, maybe patched
    """Return the factor of each row of the weights; see :class:`_Weights`."""
    base: Tensor = weight.base if isinstance(weight, Edited) else weight
    scale = base.new_ones(len(base))
    if candidate:
        scale.view(4, -1)[2] = 2
    return scale


def _lstm(
    weights: _Weights, step: Tensor, base: Tensor | None, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Hochreiter and Schmidhuber (1997) with a forget gate; torch's order is i, f, g, o."""
    i, f, g, o = weights.together(step, base, hidden).sigmoid_().chunk(4)
    cell = (f * cell).addcmul_(i, g.mul_(2).sub_(1))
    squashed = (2 * cell).sigmoid_().mul_(2).sub_(1)
    return squashed.mul_(o), cell


def _gru(
    weights: _Weights, step: Tensor, base: Tensor | None, hidden: Tensor, _cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Cho et al. (2014) with the reset gate after the product; torch's order is r, z, n."""
    from_x, from_h = weights.apart(step, base, hidden)
    r_x, z_x, n_x = from_x.chunk(3)
    r_h, z_h, n_h = from_h.chunk(3)
    new = torch.addcmul(n_x, (r_x + r_h).sigmoid_(), n_h).tanh_()
    found = torch.lerp(new, hidden, (z_x + z_h).sigmoid_())
    return found, found


def _rnn_tanh(
    weights: _Weights, step: Tensor, base: Tensor | None, hidden: Tensor, _cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Elman (1990)."""
    found = weights.together(step, base, hidden).tanh_()
    return found, found


def _rnn_relu(
    weights: _Weights, step: Tensor, base: Tensor | None, hidden: Tensor, _cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Elman (1990) with rectified units."""
    found = weights.together(step, base, hidden).relu_()
    return found, found


CELLS: dict[str, Cell] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": _rnn_tanh,
    "rnn_relu": _rnn_relu,
}
