"""The gates of a recurrent layer: products with patched weights, and one step of each cell.

Values lie units first, ``(units, p, n)``: a gate is then a block of rows, and a patched weight adds
its change times a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dnnrepair.population.operations.products import product
from dnnrepair.population.values import Edited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.population.call import Call

    Cell = Callable[["Gates", Tensor, "Tensor | None", Tensor, Tensor, Tensor], None]

Weight = Tensor | Edited


class Place(NamedTuple):
    """A patched weight: its column of the values, what it feeds, weighs (a bias nothing), times."""

    column: int
    row: int
    feature: int | None
    factor: float


@dataclass(frozen=True, slots=True)
class Product:
    """Weights of the gates for one operand, some of them patched.

    All that feeds the LSTM's candidate gate is doubled, for ``tanh(x) = 2 sigmoid(2 x) - 1``:
    torch's sigmoid takes a quarter of the time.

    Attributes:
        weight: unpatched, ``(gates * units, features)``.
        bias: unpatched, ``(gates * units, 1)``, or None.
        patched: its patched weights.
    """

    weight: Tensor
    bias: Tensor | None
    patched: tuple[Place, ...]

    @classmethod
    def of(cls, weight: Weight, bias: Weight | None, *, candidate: bool) -> Product:
        """Return the product of a layer; ``candidate`` doubles the third of four gates."""
        base = weight.base if isinstance(weight, Edited) else weight
        plain = bias.base if isinstance(bias, Edited) else bias
        scale = base.new_ones(len(base))
        if candidate:
            scale.view(4, -1)[2] = 2
        patched = tuple(
            Place(column, index[0], index[1] if index[1:] else None, float(scale[index[0]]))
            for value in (weight, bias)
            if isinstance(value, Edited)
            for column, index in zip(value.columns, value.indices, strict=True)
        )
        column = None if plain is None else (plain * scale).unsqueeze(1)
        return cls(base * scale.unsqueeze(1), column, patched)

    def add_changes(self, gates: Tensor, values: Tensor, change: Sequence[Tensor]) -> None:
        """Add what patched weights change, in place.

        Args:
            gates: ``(gates * units, p, n)``.
            values: what the weights weigh, ``(features, p or 1, n)``.
            change: of each patched weight, ``(p, 1)``.
        """
        for place in self.patched:
            row, own = gates[place.row], change[place.column]
            if place.feature is None:
                row.add_(own, alpha=place.factor)
            else:
                row.addcmul_(own, values[place.feature], value=place.factor)


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of one layer and direction for some candidates.

    Attributes:
        call: the operation.
        place: number of the layer and direction.
        of_x, of_h: products with the input and the hidden state.
        change: of each patched weight, ``(p, 1)``.
    """

    call: Call
    place: int
    of_x: Product
    of_h: Product
    change: Sequence[Tensor]

    @classmethod
    def of(cls, call: Call, group: Sequence[Weight], place: int) -> Gates:
        """Return the gates of a layer and direction.

        Args:
            call: the operation.
            group: its two weights and maybe two biases.
            place: number of the layer and direction.
        """
        biases = (*group[2:], None, None)[:2]
        of_x, of_h = (
            call.constant(
                ("product", place, i),
                partial(Product.of, group[i], biases[i], candidate=call.op == "lstm"),
            )
            for i in (0, 1)
        )
        change = call.chunk.change.t().contiguous().unsqueeze(2)
        return cls(call, place, of_x, of_h, change.unbind())

    @property
    def apart(self) -> bool:
        """Whether the cell needs the hidden state's part of its gates by itself."""
        return self.call.op == "gru"

    def of_shared(self, step: Tensor, time: int) -> Tensor:
        """Return what an input that all candidates share adds to the gates, ``(gates, 1, n)``.

        Unless the hidden state's part is needed by itself, its bias is in there.
        """
        bias = self.of_x.bias if self.apart else self._bias
        found: Tensor = self.call.frame.get(
            (self.call.name, "projected", self.place, time),
            lambda _: _weighed(self.of_x.weight, step, bias),
        )
        return found

    @property
    def _bias(self) -> Tensor | None:
        one, other = self.of_x.bias, self.of_h.bias
        return None if one is None or other is None else one + other

    def separate(self, step: Tensor, base: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return what input and hidden state add to the gates, ``(gates, p or 1, n)`` each."""
        from_h = _weighed(self.of_h.weight, state, self.of_h.bias)
        self.of_h.add_changes(from_h, state, self.change)
        from_x = _weighed(self.of_x.weight, step, self.of_x.bias) if base is None else base
        if self.of_x.patched:
            from_x = from_x.expand(from_h.shape).clone()
            self.of_x.add_changes(from_x, step, self.change)
        return from_x, from_h

    def together(self, step: Tensor, base: Tensor | None, state: Tensor) -> Tensor:
        """Return the sum of both, ``(gates, p, n)``."""
        if base is None:
            base = _weighed(self.of_x.weight, step, self._bias)
        gates = _weighed(self.of_h.weight, state, None).add_(base)
        self.of_h.add_changes(gates, state, self.change)
        self.of_x.add_changes(gates, step, self.change)
        return gates


def _weighed(weight: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``weight @ values + bias`` for values ``(features, p, n)``; the bias is a column."""
    out = product(weight, values.flatten(1))
    if bias is not None:
        out += bias
    return out.view(-1, *values.shape[1:])


def _lstm(
    gates: Gates, step: Tensor, base: Tensor | None, state: Tensor, cell: Tensor, out: Tensor
) -> None:
    """Hochreiter and Schmidhuber (1997) with a forget gate; torch's order is i, f, g, o.

    The cell is doubled as its candidate is, for the same reason.
    """
    i, f, g, o = gates.together(step, base, state).sigmoid_().chunk(4)
    cell.mul_(f).addcmul_(i, g, value=4).sub_(i, alpha=2)  # 2 (f c + i (2 g - 1))
    torch.sigmoid(cell, out=out)
    torch.addcmul(torch.neg(o, out=i), o, out, value=2, out=out)  # o (2 out - 1)


def _gru(
    gates: Gates, step: Tensor, base: Tensor | None, state: Tensor, _cell: Tensor, out: Tensor
) -> None:
    """Cho et al. (2014) with the reset gate after the product; torch's order is r, z, n."""
    from_x, from_h = gates.separate(step, base, state)
    r_x, z_x, n_x = from_x.chunk(3)
    r_h, z_h, n_h = from_h.chunk(3)
    new = torch.addcmul(n_x, (r_x + r_h).sigmoid_(), n_h).tanh_()
    torch.lerp(new, state, (z_x + z_h).sigmoid_(), out=out)


def _rnn_tanh(
    gates: Gates, step: Tensor, base: Tensor | None, state: Tensor, _cell: Tensor, out: Tensor
) -> None:
    """Elman (1990)."""
    torch.tanh(gates.together(step, base, state), out=out)


def _rnn_relu(
    gates: Gates, step: Tensor, base: Tensor | None, state: Tensor, _cell: Tensor, out: Tensor
) -> None:
    """Elman (1990) with rectified units."""
    torch.clamp_min(gates.together(step, base, state), 0, out=out)


CELLS: dict[str, Cell] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": _rnn_tanh,
    "rnn_relu": _rnn_relu,
}
