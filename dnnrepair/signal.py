"""How a fresh network scales what passes through it, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.residual import residuals
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site, Sites

    Floats = NDArray[np.float64]

_POINTS = np.linspace(-8, 8, 2001)  # of a standard Gaussian variable
_SIGMOID_SLOPE = 0.25  # at 0, its largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """What one layer does to the variance of a gradient that passes back through it.

    Attributes:
        site: the affine operation.
        activation: that reads it.
        weight: name of its weight.
        gain2: fan_in times the mean square of the weight.
        slope2: mean squared slope of the activation, that of a sigmoid relative to its largest:
            the weights cannot be blamed for the rest.
        measured: the slope was measured on data, not computed for Gaussian values.
    """

    site: Site
    activation: Site
    weight: str
    gain2: float
    slope2: float
    measured: bool

    @property
    def chi(self) -> float:
        """The factor (Schoenholz et al. 2017, eq. 5, with the squared derivative)."""
        return self.gain2 * self.slope2


def hidden(sites: Sites) -> Iterator[tuple[Site, Site]]:
    """Yield each affine operation that an activation reads directly, with that activation."""
    for site in sites.of(Kind.AFFINE):
        readers = sites.readers(site)
        activation = next((r for r in readers if r.kind is Kind.ACTIVATION), None)
        if activation is not None and not any(r.kind is Kind.NORM for r in readers):
            yield site, activation


def is_plain(sites: Sites) -> bool:
    """Tell whether nothing but weights and activations sets the scale: no norm, no shortcut."""
    scaled = sites.of(Kind.NORM, Kind.RECURRENT, Kind.ATTENTION, Kind.SOFTMAX)
    return not any(s.name != sites.output for s in scaled) and not residuals(sites)


def factors(seen: Observations) -> tuple[Factor, ...]:
    """Return the factor of each hidden layer in execution order, those that can be known."""
    found: list[Factor] = []
    variance = 1.0  # of a pre-activation, assumed Gaussian; inputs are taken to have size 1
    for site, activation in hidden(seen.sites):
        weight = site.tensors.get("weight", "")
        summary = seen.of(TensorSummary).get(weight)
        if summary is None or not summary.gains:
            continue
        gain2 = max(summary.gains)
        variance = gain2 * variance
        activity = seen.of(Activity).get(activation.name)
        slope2 = activity.mean_slope_square if activity else gaussian_slope(activation, variance)
        if activation.op == "sigmoid":
            slope2 /= _SIGMOID_SLOPE**2
        if not math.isfinite(slope2 * gain2):
            continue
        variance = _passed(activation, variance)
        found.append(
            Factor(
                site=site,
                activation=activation,
                weight=weight,
                gain2=gain2,
                slope2=slope2,
                measured=activity is not None,
            )
        )
    return tuple(found)


def gaussian_slope(activation: Site, variance: float) -> float:
    """Return E[phi'(z)^2] for z of mean 0 and this variance; NaN for an unknown activation.

    >>> from dnnrepair.sites import Site
    >>> gaussian_slope(Site(name="a", op="relu"), 3.0)
    0.5
    """
    if activation.op == "relu":
        return 0.5
    if activation.op == "leaky_relu":
        return (1 + activation.setting("negative_slope", 0.01) ** 2) / 2
    if activation.op == "tanh":
        return _expected(lambda z: (1 - np.tanh(z) ** 2) ** 2, variance)
    if activation.op == "sigmoid":
        return _expected(lambda z: _sigmoid(z) ** 2 * (1 - _sigmoid(z)) ** 2, variance)
    return math.nan


def _passed(activation: Site, variance: float) -> float:
    """Return E[phi(z)^2], what the next layer's weights multiply."""
    if activation.op == "tanh":
        return _expected(lambda z: np.tanh(z) ** 2, variance)
    if activation.op == "sigmoid":
        return _expected(lambda z: _sigmoid(z) ** 2, variance)
    return variance / 2


def _sigmoid(z: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(z / 2))


def _expected(function: Callable[[Floats], Floats], variance: float) -> float:
    """Return the mean of a function of a Gaussian variable, by the rectangle rule."""
    density = np.exp(-(_POINTS**2) / 2)
    values = function(_POINTS * math.sqrt(min(variance, 1e300)))
    return float((values * density).sum() / density.sum())
