"""What single weights contribute to the hidden states of recurrent layers.

A hidden state is, step by step, a product of gates; the terms of a gate are ``x * w`` and
``h * w`` times what the gate is multiplied with, as in Sohn, Kang and Yoo (TOSEM 2023) for an LSTM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from dnnrepair.unrolled import Direction


class Partners(NamedTuple):
    """What gates are multiplied with on their way into the hidden state, ``(T, n, gates, units)``.

    Attributes:
        of_x: for the part of a gate that comes from the input.
        of_h: for the part that comes from the hidden state before.
    """

    of_x: Tensor
    of_h: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentUse:
    """A recurrent layer in one direction; see :class:`dnnrepair.localize.use.Use`.

    Attributes:
        key: name of the site, layer and direction.
        cell: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        direction: what it read and computed.
        pooled: as published: shares of the sum over all samples, and a mean over steps.
    """

    key: str
    cell: str
    direction: Direction
    pooled: bool

    @property
    def samples(self) -> int:
        """n, the number of sequences."""
        return self.direction.x.shape[1]

    @property
    def output(self) -> Tensor:
        """Hidden states, ``(T, n, units)``."""
        return self.direction.output

    def by_output(self, values: Tensor) -> Tensor:
        """Return values shaped as the output summed over steps, ``(n, units)``."""
        return values.sum(0)

    def sums(self) -> Tensor:
        """Return the sums of the sizes of all terms of all gates and steps, ``(n, units)``."""
        partners, weights = self._partners(), self.direction.weights
        x, h = self.direction.x.abs(), self.direction.before.abs()
        of_x = (x @ weights.w_ih.abs().mT).unflatten(-1, partners.of_x.shape[2:])
        of_h = (h @ weights.w_hh.abs().mT).unflatten(-1, partners.of_h.shape[2:])
        total = (partners.of_x * of_x + partners.of_h * of_h).sum((0, 2))
        found: Tensor = total * len(x) if self.pooled else total
        return found

    def impact(self, scale: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield both weight tensors, and for each weight the sum of its terms, scaled."""
        partners, weights = self._partners(), self.direction.weights
        x, h = self.direction.x.abs(), self.direction.before.abs()
        for weight, values, partner in (
            (weights.w_ih, x, partners.of_x),
            (weights.w_hh, h, partners.of_h),
        ):
            scaled = (partner * scale.unsqueeze(1)).flatten(2).flatten(0, 1)  # (T * n, rows)
            yield weight, (scaled.mT @ values.flatten(0, 1)).mul_(weight.detach().abs())

    def _partners(self) -> Partners:
        of_x, of_h = _PARTNERS[self.cell](self.direction)
        return Partners(of_x.abs(), of_h.abs())


def _gates(direction: Direction) -> tuple[Tensor, Tensor]:
    """Return what input and hidden state add to each gate, ``(T, n, blocks * units)`` each."""
    w = direction.weights
    return F.linear(direction.x, w.w_ih, w.b_ih), F.linear(direction.before, w.w_hh, w.b_hh)


def _lstm(direction: Direction) -> Partners:
    """For ``c = f c' + i g`` and ``h = o tanh(c)``: the share of a gate's part of c, times o."""
    from_x, from_h = _gates(direction)
    i, f, g, o = (from_x + from_h).chunk(4, dim=-1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cells = [direction.states[1][0]]
    for step in range(len(i)):
        cells.append(f[step] * cells[-1] + i[step] * g[step])
    cell, before = torch.stack(cells[1:]), torch.stack(cells[:-1])
    share = (o / cell).masked_fill(cell == 0, 0)
    found = torch.stack([share * g, share * before, share * i, cell.tanh()], dim=2)
    return Partners(found, found)


def _gru(direction: Direction) -> Partners:
    """For ``h = (1 - z) n + z h'`` and ``n = tanh(x' + r h'')``, likewise."""
    from_x, from_h = _gates(direction)
    (r_x, z_x, n_x), (r_h, z_h, n_h) = from_x.chunk(3, dim=-1), from_h.chunk(3, dim=-1)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    new = (n_x + r * n_h).tanh()
    of_r, of_z = (1 - z) * n_h, direction.before - new
    return Partners(
        torch.stack([of_r, of_z, 1 - z], dim=2), torch.stack([of_r, of_z, (1 - z) * r], dim=2)
    )


def _rnn(direction: Direction) -> Partners:
    """For ``h = f(x' + h'')``: there is but one gate, multiplied with nothing."""
    ones = torch.ones_like(direction.output).unsqueeze(2)
    return Partners(ones, ones)


_PARTNERS: dict[str, Callable[[Direction], Partners]] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": _rnn,
    "rnn_relu": _rnn,
}
