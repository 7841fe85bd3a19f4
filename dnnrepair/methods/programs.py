"""The smallest change that meets linear demands, found by adding these as they are missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, hstack, vstack

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.methods.demands import Demands
    from dnnrepair.progress import Progress

    Floats = NDArray[np.float64]
    Positions = NDArray[np.int64]

CLOSE = 1e-7  # by which an inequality may be missed; HiGHS's own tolerance
AT_ONCE = 400  # inequalities that are added in a round
ROUNDS = 200
INFEASIBLE = 2  # a status of HiGHS in scipy


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What the linear program has shown.

    Attributes:
        change: the smallest ``(K, D)`` that meets all demands; None if none does within the box.
        used: inequalities that were looked at, row and inequality ``(n, 2)``: where there is no
            solution, these alone prove it.
        missed: summed, by how much demands that may be missed are missed.
    """

    change: Floats | None
    used: Positions
    missed: float = 0.0


def smallest(
    demands: Demands, box: float, norm: str, progress: Progress, *, relaxed: bool = False
) -> Solution:
    """Return the smallest change that meets the demands.

    Args:
        demands: what must hold.
        box: how far each number may move, above 0.
        norm: "l1" for the sum of all moves, "linf" for the largest.
        progress: is told of the rounds.
        relaxed: demands of what is to be fixed may be missed, at a price far above any move.

    Raises:
        DataError: if the solver gives up.
    """
    shape = (demands.signs.shape[2], demands.features.shape[1])
    change: Floats = np.zeros(shape)
    used = np.empty((0, 2), np.int64)
    missed = 0.0
    progress.stage("solving", None)
    for _ in range(ROUNDS):
        fresh = _missed_most(demands, change, used)
        if not len(fresh):
            return Solution(change=change, used=used, missed=missed)
        used = np.concatenate([used, fresh])
        progress.note(f"{len(used)} inequalities")
        found = _solve(demands, used, box, norm, relaxed=relaxed)
        if found is None:
            return Solution(change=None, used=used)
        change, missed = found[0].reshape(shape), found[1]
    message = (
        f"no solution after {ROUNDS} rounds of the linear program; fix or protect fewer inputs"
    )
    raise DataError(message)


def _missed_most(demands: Demands, change: Floats, used: Positions) -> Positions:
    """Return the inequalities that are missed most, one of a row, without those that are used."""
    lacking = demands.lacking(change)
    if len(used):
        lacking[used[:, 0], used[:, 1]] = -np.inf
    worst = lacking.argmax(1)
    amount = lacking[np.arange(len(lacking)), worst]
    rows = np.flatnonzero(amount > CLOSE)
    rows = rows[np.argsort(-amount[rows], kind="stable")][:AT_ONCE]
    return np.stack([rows, worst[rows]], 1)


def _solve(
    demands: Demands, used: Positions, box: float, norm: str, *, relaxed: bool
) -> tuple[Floats, float] | None:
    """Return the smallest flat change for some inequalities and what is missed, None if none."""
    matrix = csr_array(demands.matrix(used))
    count, size = matrix.shape
    needed = demands.needed[used[:, 0], used[:, 1]]
    extent = size if norm == "l1" else 1  # one bound for each move, or one for all
    bound = eye_array(size) if norm == "l1" else csr_array(np.ones((size, 1)))
    soft = ~demands.hard[used[:, 0]] if relaxed else np.zeros(count, bool)
    slack = csr_array(
        (np.ones(soft.sum()), (np.flatnonzero(soft), np.arange(soft.sum()))),
        shape=(count, int(soft.sum())),
    )
    none = csr_array((size, slack.shape[1]))
    rows = csr_array(
        vstack(
            [
                hstack([-matrix, csr_array((count, extent)), -slack]),
                hstack([eye_array(size), -bound, none]),
                hstack([-eye_array(size), -bound, none]),
            ]
        )
    )
    price = box * size * 10.0
    extra = extent + slack.shape[1]
    found = milp(
        np.concatenate([np.zeros(size), np.ones(extent), np.full(slack.shape[1], price)]),
        constraints=LinearConstraint(rows, -np.inf, np.concatenate([-needed, np.zeros(2 * size)])),
        bounds=Bounds(
            np.concatenate([np.full(size, -box), np.zeros(extra)]),
            np.concatenate([np.full(size, box), np.full(extra, np.inf)]),
        ),
    )
    if found.status == INFEASIBLE:
        return None
    if found.x is None:
        message = f"the linear program was not solved: {found.message}"
        raise DataError(message)
    return found.x[:size], float(found.x[size + extent :].sum())
