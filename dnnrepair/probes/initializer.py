"""Compare weight tensors with freshly drawn ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import ndtr

from dnnrepair.evidence.initializer import InitializerFit
from dnnrepair.observation import Role
from dnnrepair.probe import probe

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.observation import TensorInfo

    Floats = NDArray[np.float64]

SAMPLE = 1 << 16  # values whose distribution is compared, evenly spaced
SMALLEST = 8  # values; fewer say nothing
CRITICAL = 1.95  # Kolmogorov's distribution: sqrt(n) D exceeds it once in a thousand
_SPREAD = {"uniform": 0.8, "normal": 2.0}  # n times the squared relative error of a variance


@probe("initializer")
class InitializerProbe:
    """Nearest known initializer by variance, and the distance in shape."""

    yields: ClassVar[type] = InitializerFit

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> InitializerFit | None:
        """Return the fit, None where no initializer can be named."""
        if info.role not in (Role.WEIGHT, Role.RECURRENT) or info.buffer or not info.fan_in:
            return None
        if not value.is_floating_point() or value.numel() < SMALLEST:
            return None
        flat = value.detach().reshape(-1)
        values = flat[:: max(1, len(flat) // SAMPLE)].double().cpu().numpy()
        variance = float(value.detach().double().square().mean())
        if not math.isfinite(variance) or variance <= 0:
            return None
        return fit(values, variance, variances(info), info.fan_in, value.numel())


def fit(
    values: Floats, variance: float, known: dict[str, float], fan_in: int, count: int
) -> InitializerFit:
    """Return the nearest of the ``known`` initializers (variance by name).

    Args:
        values: some of the weights.
        variance: mean square of all of them.
        known: the variances of the initializers.
        fan_in: inputs per unit.
        count: how many weights there are.
    """
    uniform, normal = distances(values, math.sqrt(variance))
    distribution = "uniform" if uniform <= normal else "normal"
    names = [name for name in known if name.endswith(distribution)]
    nearest = min(names, key=lambda name: abs(math.log(variance / known[name])))
    return InitializerFit(
        nearest=nearest,
        distribution=distribution,
        gain2=fan_in * variance,
        ratio=variance / known[nearest],
        tolerance=4 * math.sqrt(_SPREAD[distribution] / count),
        distance=min(uniform, normal),
        critical=CRITICAL / math.sqrt(len(values)),
    )


def variances(info: TensorInfo) -> dict[str, float]:
    """Return the variance that each known initializer gives to a tensor, by name.

    Glorot and Bengio 2010; He et al. 2015; LeCun et al. 1998; torch.nn.init and the defaults of
    torch.nn (Linear and Conv: kaiming_uniform(a=sqrt(5)); recurrent: 1/sqrt(hidden)).
    """
    fan_in, fan_out = info.fan_in, max(info.fan_out, 1)
    hidden = max(info.shape[info.unit_dim] // info.blocks, 1)
    found = {}
    for shape in ("uniform", "normal"):
        found[f"kaiming_{shape}"] = 2 / fan_in
        found[f"kaiming_fan_out_{shape}"] = 2 / fan_out
        found[f"kaiming_tanh_{shape}"] = 25 / 9 / fan_in
        found[f"lecun_{shape}"] = 1 / fan_in
        found[f"xavier_{shape}"] = 2 / (fan_in + fan_out)
        found[f"xavier_relu_{shape}"] = 4 / (fan_in + fan_out)
        found[f"xavier_tanh_{shape}"] = 50 / 9 / (fan_in + fan_out)
    found["torch_default_uniform"] = 1 / 3 / fan_in
    found["recurrent_default_uniform"] = 1 / 3 / hidden
    found["orthogonal_normal"] = 1 / max(info.shape[info.unit_dim], fan_in)
    found["block_orthogonal_normal"] = 1 / max(hidden, fan_in)
    found["small_normal"] = 0.02**2
    found["tiny_normal"] = 0.01**2
    return found


def distances(values: Floats, rms: float) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distances to a centered uniform and a normal distribution.

    The bound of the uniform one is the largest magnitude (its maximum-likelihood estimate), which
    must agree with ``rms``; the normal one has standard deviation ``rms``.
    """
    ordered = np.sort(values)
    bound = max(float(np.abs(ordered[[0, -1]]).max()), rms * math.sqrt(3) * 0.9)
    return _distance(np.clip(ordered / (2 * bound) + 0.5, 0, 1)), _distance(ndtr(ordered / rms))


def _distance(expected: Floats) -> float:
    steps = np.arange(len(expected) + 1) / len(expected)
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))
