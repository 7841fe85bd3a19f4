"""The smallest change that meets linear demands, found by adding these as they are missed.

Of thousands of inequalities a few hundred decide. What has the smallest solution of some of them
and misses none of the others is the smallest solution of all; where some have none, all have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dnnrepair.methods.demands import Demands
    from dnnrepair.progress import Progress

    Floats = NDArray[np.float64]
    Positions = NDArray[np.int64]
    Bounds = tuple[float, float | None]

CLOSE = 1e-7  # by which an inequality may be missed; HiGHS's own tolerance
SLACK = 1e-3  # by which one must hold to be forgotten
AT_ONCE = 400  # inequalities that are added in a round
MANY = 500  # inequalities of which those that hold with slack are forgotten
ROUNDS = 500
INFEASIBLE = 2  # a status of scipy's linprog


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A proof that no change in the box meets some demands (Farkas' lemma).

    Added up with these weights, they ask for more than any change in the box can give.

    Attributes:
        demands: row and inequality of each, ``(n, 2)``.
        weights: of each, above 0, ``(n,)``.
        excess: what they ask for less what can be given, above all rounding.
    """

    demands: Positions
    weights: Floats
    excess: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The smallest change that meets the demands.

    Attributes:
        change: ``(K, D)``.
        missed: summed, by how much demands that may be missed are missed.
    """

    change: Floats
    missed: float = 0.0


def smallest(
    demands: Demands, box: float, norm: str, progress: Progress, *, relaxed: bool = False
) -> Solution | Conflict:
    """Return the smallest change that meets the demands, or why there is none.

    Args:
        demands: what must hold.
        box: how far each number may move, above 0.
        norm: "l1" for the sum of all moves, "linf" for the largest.
        progress: is told of the rounds.
        relaxed: demands of what is to be fixed may be missed, at a price far above any move.

    Raises:
        DataError: if the solver gives up, or the case is too close for floating-point numbers.
    """
    change: Floats = np.zeros((demands.width, demands.features.shape[1]))
    used: Positions = np.empty((0, 2), np.int64)
    best, missed = 0.0, 0.0
    progress.stage("solving", None)
    for _ in range(ROUNDS):
        fresh = _missed_most(demands, change, used)
        if not len(fresh):
            return Solution(change=change, missed=missed)
        used = np.concatenate([used, fresh])
        progress.note(f"{len(used)} inequalities")
        found = _solve(demands, used, box, norm, relaxed=relaxed)
        if found is None:
            return conflict(demands, used, box)
        change, missed = found.change.reshape(change.shape), found.missed
        if len(used) > MANY and found.objective > best * (1 + CLOSE) + CLOSE:  # no round returns
            best, used = found.objective, used[found.slack < SLACK]
    message = (
        f"no solution after {ROUNDS} rounds of the linear program; fix or protect fewer inputs"
    )
    raise DataError(message)


def conflict(demands: Demands, used: Positions, box: float) -> Conflict:
    """Return the proof that demands without a common solution have none.

    Its weights are the multipliers of the program that misses them least in sum; they are checked
    in their own right, whatever the solver says.

    Raises:
        DataError: if the proof does not hold in floating-point numbers.
    """
    matrix, needed = demands.matrix(used), demands.needed[used[:, 0], used[:, 1]]
    count, size = matrix.shape
    found = _minimized(
        np.concatenate([np.zeros(size), np.ones(count)]),
        hstack([-matrix, -eye_array(count)]),
        -needed,
        [(-box, box)] * size + [(0, None)] * count,
    )
    weights = np.maximum(-found.ineqlin.marginals, 0) if found.x is not None else np.zeros(count)
    kept = np.flatnonzero(weights > CLOSE)
    asked = weights[kept] * needed[kept]
    given = box * np.abs(matrix[kept].T @ weights[kept])
    excess = float(asked.sum() - given.sum())
    terms = np.abs(asked).sum() + box * (abs(matrix[kept]).T @ weights[kept]).sum()
    if excess <= np.finfo(np.float64).eps * (len(kept) + size) * float(terms):  # rounding, at most
        message = (
            "whether a change in the box does all that is asked is too close to tell; "
            "choose another margin or box"
        )
        raise DataError(message)
    return Conflict(demands=used[kept], weights=weights[kept], excess=excess)


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


@dataclass(frozen=True, slots=True)
class _Solved:
    """One program's solution: flat change, its price, what is missed, each one's slack."""

    change: Floats
    objective: float
    missed: float
    slack: Floats


def _solve(
    demands: Demands, used: Positions, box: float, norm: str, *, relaxed: bool
) -> _Solved | None:
    """Return the smallest change for some inequalities, None if there is none.

    A change is the difference of two that are at least 0: their sum is its size.
    """
    matrix, needed = demands.matrix(used), demands.needed[used[:, 0], used[:, 1]]
    count, size = matrix.shape
    soft = np.flatnonzero(~demands.hard[used[:, 0]]) if relaxed else np.empty(0, np.int64)
    missing = csr_array((np.ones(len(soft)), (soft, np.arange(len(soft)))), (count, len(soft)))
    rows = csr_array(hstack([-matrix, matrix, -missing]))
    sizes, limits = np.ones(2 * size), -needed
    if norm == "linf":  # one more number, at least the sum of each pair
        pairs = csr_array(hstack([eye_array(size), eye_array(size), csr_array((size, len(soft)))]))
        top = np.concatenate([np.zeros(count), -np.ones(size)])[:, None]
        rows = csr_array(hstack([csr_array(vstack([rows, pairs])), csr_array(top)]))
        sizes, limits = np.zeros(2 * size), np.concatenate([limits, np.zeros(size)])
    price = np.full(len(soft), 10.0 * box * size)
    extra = np.ones(1 if norm == "linf" else 0)
    bounds: list[Bounds] = [(0, box)] * (2 * size)
    bounds += [(0, None)] * (len(soft) + len(extra))
    found = _minimized(np.concatenate([sizes, price, extra]), rows, limits, bounds)
    if found.status == INFEASIBLE:
        return None
    if found.x is None:
        message = f"the linear program was not solved: {found.message.strip()}; try another box"
        raise DataError(message)
    change = found.x[:size] - found.x[size : 2 * size]
    lost = found.x[2 * size : 2 * size + len(soft)]
    return _Solved(change, float(found.fun), float(lost.sum()), found.slack[:count])


def _minimized(cost: Floats, rows: Any, limits: Floats, bounds: Sequence[Bounds]) -> Any:  # noqa: ANN401 - scipy's own types name no sparse array
    """Return what minimizes ``cost @ x`` where ``rows @ x <= limits``."""
    sparse: Any = csr_array(rows)
    return linprog(cost, sparse, limits, bounds=bounds, method="highs")
