"""The closest that one activation comes to another, on the inputs that a layer really sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

from dnnrepair.activations.grafts import Wrap
from dnnrepair.errors import DataError, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.activations.activation import Activation

MOST = 4096  # inputs looked at, evenly spaced in order of size
STEEPEST = 3.0  # |beta| times the inputs' spread; more would only copy the old one's kink
_BETAS, _GAMMAS = 16, 25  # of the grid
_WIDEST = 6.0  # |gamma| on the grid
_STARTS = 3  # points of the grid from which the search goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How near one activation comes to another on given inputs.

    Attributes:
        wrap: ``alpha h(beta z + gamma) + delta`` is what comes nearest.
        error: root mean square of the difference.
        relative: the same over the standard deviation of the old one's outputs.
        largest: difference, in absolute value.
    """

    wrap: Wrap
    error: float
    relative: float
    largest: float


def fit(old: Activation, new: Activation, z: Tensor) -> Fit:
    """Return the four numbers around ``new`` that bring it nearest to ``old``, in least squares.

    For given beta and gamma, alpha = cov(h, f) / var(h) and delta = mean f - alpha mean h. These
    two are searched on a grid, then by Nelder and Mead (1965). A small error here is no small error
    of the network: measure that.

    Args:
        old: what is replaced.
        new: what takes its place.
        z: the pre-activations that the layer sees, of any shape, in float of any size.

    Raises:
        DataError: if ``z`` is empty, constant or not finite.
        SettingError: if either takes more than one input for each output.
    """
    for activation in (old, new):
        if activation.inputs != 1:
            message = f"{activation.name} takes {activation.inputs} inputs for each output; it "
            message += "cannot be fitted, only grafted"
            raise SettingError(message)
    seen = ordered_sample(z)
    with torch.no_grad():
        target = old.function(seen)
        task = _Task(new, seen, target, STEEPEST / float(seen.std()))
        best = min(map(task.refined, task.starts()), key=task.loss)
        wrap = task.wrap(best)
        difference = wrap.apply(new, seen) - target
    error = float(difference.square().mean().sqrt())
    spread = float(target.std())
    return Fit(
        wrap=wrap,
        error=error,
        relative=error / spread if spread > 0 else float(error > 0) and float("inf"),
        largest=float(difference.abs().max()),
    )


def ordered_sample(z: Tensor) -> Tensor:
    """Return at most ``MOST`` of the values ``(n,)`` in order, float64; the extremes are kept."""
    flat = z.detach().reshape(-1).double().cpu()
    if not len(flat) or not flat.isfinite().all():
        message = f"{len(flat)} pre-activations, not all finite or none: nothing can be fitted to "
        raise DataError(message + "them; check the layer before the activation")
    ordered = flat.sort().values
    if ordered[0] == ordered[-1]:
        message = f"all pre-activations are {float(ordered[0]):g}: nothing can be fitted to them; "
        raise DataError(message + "give data that differ")
    if len(ordered) <= MOST:
        return ordered
    return ordered[spaced(len(ordered))]


def spaced(count: int) -> Tensor:
    """Return ``MOST`` evenly spaced places among ``count``, the first and the last among them."""
    # float32 does not know every integer above 2^24 and would step beyond the end
    return torch.linspace(0, count - 1, MOST, dtype=torch.float64).round().long()


@dataclass(frozen=True, slots=True)
class _Task:
    """The search for beta and gamma; a point holds log beta and gamma."""

    new: Activation
    z: Tensor
    target: Tensor
    steepest: float

    def starts(self) -> list[Sequence[float]]:
        """Return where to search from: the best of the grid, and no wrap at all."""
        betas = torch.linspace(-3.0, 0.0, _BETAS, dtype=torch.float64) + np.log(self.steepest)
        reach = _WIDEST * max(1.0, float(self.z.std()))
        gammas = torch.linspace(-reach, reach, _GAMMAS, dtype=torch.float64)
        grid = torch.cartesian_prod(betas, gammas)  # (G, 2)
        losses = torch.cat([self.losses(block) for block in grid.split(64)])
        best = grid[losses.argsort()[:_STARTS]].tolist()
        plain = [min(0.0, float(np.log(self.steepest))), 0.0]
        return [*best, plain]

    def losses(self, points: Tensor) -> Tensor:
        """Return the mean squared error ``(G,)`` at points ``(G, 2)``."""
        h = self.new.function(points[:, :1].exp() * self.z + points[:, 1:])  # (G, n)
        alpha, delta = self._affine(h)
        error = (alpha[:, None] * h + delta[:, None] - self.target).square().mean(1)
        return error.nan_to_num(nan=torch.inf)

    def loss(self, point: Sequence[float]) -> float:
        """Return the mean squared error at one point."""
        return float(self.losses(torch.tensor([point], dtype=torch.float64))[0])

    def refined(self, start: Sequence[float]) -> Sequence[float]:
        """Return the nearest minimum."""
        most = float(np.log(self.steepest))

        def loss(point: NDArray[np.float64]) -> float:
            return self.loss(point.tolist())

        found = minimize(
            loss,
            np.array(start, np.float64),
            method="Nelder-Mead",
            bounds=[(most - 12.0, most), (None, None)],
            options={"maxiter": 200, "xatol": 1e-7, "fatol": 1e-16},
        )
        better = float(found.fun) <= self.loss(start)
        point: list[float] = found.x.tolist()
        return point if better else start

    def wrap(self, point: Sequence[float]) -> Wrap:
        """Return the four numbers at a point."""
        beta, gamma = float(np.exp(point[0])), float(point[1])
        alpha, delta = self._affine(self.new.function(beta * self.z + gamma)[None])
        return Wrap(float(alpha[0]), beta, gamma, float(delta[0]))

    def _affine(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best alpha and delta ``(G,)`` for values ``(G, n)``."""
        mean, target = h.mean(1), self.target.mean()
        centered = h - mean[:, None]
        variance = centered.square().mean(1)
        covariance = (centered * (self.target - target)).mean(1)
        alpha = torch.where(variance > 0, covariance / variance.clamp(min=1e-300), 0.0)
        return alpha, target - alpha * mean
