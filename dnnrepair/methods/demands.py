"""What the last layer must answer, as inequalities that are linear in its change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dnnrepair.methods.rows import Rows

    Floats = NDArray[np.float64]
    Positions = NDArray[np.int64]

ROUNDING = 1e-5  # of the largest output: a lead that survives being computed in float32


@dataclass(frozen=True, slots=True)
class Demands:
    """For every row of features, inequalities ``(change[plus] - change[minus]) @ f >= needed``.

    Attributes:
        features: ``(m, D)``.
        plus, minus: of each row and inequality, which output counts, ``(m, J)``; K for none.
        needed: ``(m, J)``; -inf where there is none.
        hard: rows that must stay as right as they are, bool ``(m,)``; the others are to be fixed.
        width: K, how many outputs there are.
    """

    features: Floats
    plus: Positions
    minus: Positions
    needed: Floats
    hard: NDArray[np.bool_]
    width: int

    @classmethod
    def of(cls, rows: Rows, targets: torch.Tensor, *, margin: float, tolerance: float) -> Demands:
        """Return the demands of labels or values.

        A label must lead each other class by the margin, or by what it leads now if that is less
        and the input is right, but by enough to survive rounding; a value must come within the
        tolerance, less the same.

        Args:
            rows: what the last layer sees.
            targets: which rows are to be fixed, bool ``(m,)``.
            margin: in units of the outputs, above 0.
            tolerance: by which a predicted value may be off.
        """
        base = rows.base.double().cpu().numpy()
        wanted = rows.wanted.cpu().numpy()
        hard = ~targets.cpu().numpy()
        if rows.labeled:
            plus, minus = _of_labels(wanted, base.shape[1])
            now = _steps(base, plus) - _steps(base, minus)
            now[plus == minus] = np.inf
        else:
            plus, minus = _of_values(*base.shape)
            now = tolerance + _steps(base - wanted, plus) - _steps(base - wanted, minus)
        least = min(margin, ROUNDING * max(1.0, float(np.abs(base).max(initial=0))))
        limit = np.where(hard[:, None], np.clip(now, least, margin), margin)
        needed = np.where(np.isfinite(now), limit - now, -np.inf)
        features = rows.features.double().cpu().numpy()
        return cls(features, plus, minus, needed, hard, base.shape[1])

    def lacking(self, change: Floats) -> Floats:
        """Return by how much each inequality is missed, ``(m, J)``; -inf where there is none."""
        outputs = self.features @ change.T
        return self.needed - _steps(outputs, self.plus) + _steps(outputs, self.minus)

    def matrix(self, chosen: Positions) -> csr_array:
        """Return inequalities as rows of coefficients of the flat change, ``(len, K D)``.

        Args:
            chosen: row and inequality of each, ``(len, 2)``.
        """
        depth = self.features.shape[1]
        shape = (len(chosen), self.width * depth)
        found = csr_array(shape)
        features = self.features[chosen[:, 0]]
        for side, sign in ((self.plus, 1.0), (self.minus, -1.0)):
            outputs = side[chosen[:, 0], chosen[:, 1]]
            there = np.flatnonzero(outputs < self.width)
            columns = outputs[there, None] * depth + np.arange(depth)
            places = (np.repeat(there, depth), columns.ravel())
            found = found + csr_array((sign * features[there].ravel(), places), shape=shape)
        return csr_array(found)


def _steps(outputs: Floats, which: Positions) -> Floats:
    """Return chosen outputs of each row, 0 for none: ``(m, J)`` from ``(m, K)`` and ``(m, J)``."""
    found: Floats = np.take_along_axis(np.pad(outputs, ((0, 0), (0, 1))), which, 1)
    return found


def _of_labels(labels: Positions, width: int) -> tuple[Positions, Positions]:
    """Return whose output must be ahead of whose, ``(m, J)`` each."""
    if width == 1:  # one logit: above 0 for class 1
        second = labels[:, None] == 1
        return np.where(second, 0, 1), np.where(second, 1, 0)
    plus = np.broadcast_to(labels[:, None], (len(labels), width))
    return plus, np.broadcast_to(np.arange(width), plus.shape)


def _of_values(count: int, width: int) -> tuple[Positions, Positions]:
    """Return the inequalities from below and from above, ``(m, 2 K)`` each."""
    each, none = np.arange(width), np.full(width, width)
    shape = (count, 2 * width)
    plus, minus = np.concatenate([each, none]), np.concatenate([none, each])
    return np.broadcast_to(plus, shape), np.broadcast_to(minus, shape)
