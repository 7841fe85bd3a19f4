"""The gates of a recurrent layer: products with patched weights, and one step of each cell.

Values lie units first, ``(units, p, n)``: a gate is then a block of rows, and a patched weight adds
its change times a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.values import Edited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.population.call import Call

    Cell = Callable[["Weights", Tensor, "Tensor | None", Tensor, Tensor], tuple[Tensor, Tensor]]

Weight = Tensor | Edited


@dataclass(frozen=True, slots=True)
class Weights:
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
    def of(cls, call: Call, group: Sequence[Weight | None], place: int) -> Weights:
        """Return the weights of a layer and direction, computed once."""

        def make() -> tuple[Any, ...]:
            parts = [*group, None, None][:4]
            scale = _scale(parts[0], candidate=call.op == "lstm")
            (of_x, feeds_x, places_x), (of_h, feeds_h, places_h) = (
                _split(parts[i], parts[i + 2], scale) for i in (0, 1)
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

    def _changes(self, values: Tensor, places: tuple[tuple[int, int | None], ...]) -> list[Tensor]:
        """Return each patched weight's change times the value it weighs, ``(k, p, n)``."""
        if not places:
            return []
        columns = self.call.frame.constants.index(tuple(column for column, _ in places))
        change = self.call.chunk.column_last(columns).unsqueeze(2)  # (k, p, 1)
        ones = torch.ones_like(values[:1])
        taken = [
            ones if feature is None else values[feature : feature + 1] for _, feature in places
        ]
        return [torch.cat(taken) * change]


def _product(weights: list[Tensor], rows: list[Tensor], bias: Tensor | None) -> Tensor:
    """Return weights side by side times rows ``(..., p, n)`` one below the other."""
    weight = torch.cat(weights, 1) if len(weights) > 1 else weights[0]
    joined = torch.cat(rows) if len(rows) > 1 else rows[0]
    flat = joined.reshape(len(joined), -1)
    out = weight @ flat if bias is None else torch.addmm(bias, weight, flat)
    return out.view(-1, *joined.shape[1:])


def _split(
    weight: Weight, bias: Weight | None, scale: Tensor
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
    return (
        base * scale.unsqueeze(1),
        feeds,
        tuple((column, feature) for column, _, feature in entries),
    )


def _column(bias: Weight | None, scale: Tensor) -> Tensor | None:
    if bias is None:
        return None
    base: Tensor = bias.base if isinstance(bias, Edited) else bias
    return (base * scale).unsqueeze(1)


def _scale(weight: Weight, *, candidate: bool) -> Tensor:
    """Return the factor of each row of the weights; see :class:`Weights`."""
    base: Tensor = weight.base if isinstance(weight, Edited) else weight
    scale = base.new_ones(len(base))
    if candidate:
        scale.view(4, -1)[2] = 2
    return scale


def _lstm(
    weights: Weights, step: Tensor, base: Tensor | None, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Hochreiter and Schmidhuber (1997) with a forget gate; torch's order is i, f, g, o."""
    i, f, g, o = weights.together(step, base, hidden).sigmoid_().chunk(4)
    cell = (f * cell).addcmul_(i, g.mul_(2).sub_(1))
    squashed = (2 * cell).sigmoid_().mul_(2).sub_(1)
    return squashed.mul_(o), cell


def _gru(
    weights: Weights, step: Tensor, base: Tensor | None, hidden: Tensor, _cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Cho et al. (2014) with the reset gate after the product; torch's order is r, z, n."""
    from_x, from_h = weights.apart(step, base, hidden)
    r_x, z_x, n_x = from_x.chunk(3)
    r_h, z_h, n_h = from_h.chunk(3)
    new = torch.addcmul(n_x, (r_x + r_h).sigmoid_(), n_h).tanh_()
    found = torch.lerp(new, hidden, (z_x + z_h).sigmoid_())
    return found, found


def _rnn_tanh(
    weights: Weights, step: Tensor, base: Tensor | None, hidden: Tensor, _cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Elman (1990)."""
    found = weights.together(step, base, hidden).tanh_()
    return found, found


def _rnn_relu(
    weights: Weights, step: Tensor, base: Tensor | None, hidden: Tensor, _cell: Tensor
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


def is_apart(op: str) -> bool:
    """Tell whether a cell needs the hidden state's part of its gates by itself."""
    return op == "gru"
