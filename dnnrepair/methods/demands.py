"""What the last layer must answer, as inequalities that are linear in its change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dnnrepair.methods.rows import Rows

    Floats = NDArray[np.float64]
    Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Demands:
    """For every row of features, inequalities ``signs . (change @ features) >= needed``.

    Attributes:
        features: ``(m, D)``.
        signs: of each row and inequality, ``(m, J, K)``.
        needed: ``(m, J)``; -inf where there is none.
        hard: rows that must stay as right as they are, bool ``(m,)``; the others are to be fixed.
    """

    features: Floats
    signs: Floats
    needed: Floats
    hard: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Rows, targets: torch.Tensor, *, margin: float, tolerance: float) -> Demands:
        """Return the demands of labels or values.

        A label must lead each other class by the margin, or by what it leads now if that is less
        and the input is right; a value must come within the tolerance, less the margin.

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
            signs, now = _of_labels(base, wanted)
        else:
            signs, now = _of_values(base, wanted.astype(np.float64), tolerance)
        limit = np.where(hard[:, None], np.minimum(now, margin), margin)
        needed = np.where(np.isfinite(now), limit - now, -np.inf)
        return cls(rows.features.double().cpu().numpy(), signs, needed, hard)

    def lacking(self, change: Floats) -> Floats:
        """Return by how much each inequality is missed, ``(m, J)``; -inf where there is none."""
        outputs = self.features @ change.T
        found: Floats = self.needed - np.einsum("mjk,mk->mj", self.signs, outputs)
        return found

    def matrix(self, chosen: Positions) -> Floats:
        """Return inequalities as rows of coefficients of the flat change, ``(len, K D)``.

        Args:
            chosen: row and inequality of each, ``(len, 2)``.
        """
        signs = self.signs[chosen[:, 0], chosen[:, 1]]
        found: Floats = np.einsum("nk,nd->nkd", signs, self.features[chosen[:, 0]])
        return found.reshape(len(chosen), -1)


def _of_labels(base: Floats, labels: Positions) -> tuple[Floats, Floats]:
    """Return signs ``(m, J, K)`` and by how much the label leads each class now, ``(m, J)``."""
    count, width = base.shape
    if width == 1:  # one logit: above 0 for class 1
        side = np.where(labels == 1, 1.0, -1.0)
        return side[:, None, None], side[:, None] * base
    everyone = np.eye(width)
    signs = everyone[labels][:, None, :] - everyone[None]
    now = np.take_along_axis(base, labels[:, None], 1) - base
    now[np.arange(count), labels] = np.inf
    return signs, now


def _of_values(base: Floats, wanted: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Return signs and how far each value is inside the tolerance, from above and from below."""
    count, width = base.shape
    both = np.concatenate([-np.eye(width), np.eye(width)])
    error = base - wanted
    now = np.concatenate([tolerance - error, tolerance + error], 1)
    return np.broadcast_to(both, (count, 2 * width, width)), now
