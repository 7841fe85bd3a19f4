"""PANN: polynomials in place of activations, for inference on encrypted numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.activation import Activation, Constructor, activation
from dnnrepair.activations.polynomials import DEGREES, composite_sign

if TYPE_CHECKING:
    from collections.abc import Sequence


def chebyshev(y: Tensor, coefficients: Tensor) -> Tensor:
    """Return the sum of ``coefficients[k] T_k(y)``."""
    before, now = torch.ones_like(y), y
    total = coefficients[0] + coefficients[1] * y
    for k in range(2, coefficients.shape[0]):
        before, now = now, 2 * y * now - before
        total = total + coefficients[k] * now
    return total


def odd_chebyshev(y: Tensor, coefficients: Tensor) -> Tensor:
    """Return the sum of ``coefficients[j] T_{2j+1}(y)``."""
    double = 4 * y * y - 2  # 2 T_2, which takes T_{2j-1} two degrees up
    before, now = y, y
    total = coefficients[0] * y
    for j in range(1, coefficients.shape[0]):
        before, now = now, double * now - before
        total = total + coefficients[j] * now
    return total


def composite_relu(x: Tensor, bound: float, spans: Tensor, stages: Tensor) -> Tensor:
    """Return ``x (1 + p(x / bound)) / 2``; p_k is row k of ``stages`` ``(K, n)`` on spans[k]."""
    y = x / bound
    for k in range(stages.shape[0]):
        y = odd_chebyshev(y / spans[k], stages[k])
    return 0.5 * x * (1 + y)


class Polynomial(nn.Module):
    """A polynomial by its Chebyshev coefficients on [low, high]; of no use outside."""

    def __init__(
        self,
        coefficients: list[float],
        low: float,
        high: float,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Keep two or more coefficients as a buffer."""
        super().__init__()
        self.low = low
        self.high = high
        self.coefficients = nn.Buffer(torch.tensor(coefficients, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        y = (2 * x - (self.low + self.high)) / (self.high - self.low)
        return chebyshev(y, self.coefficients)


class CompositeReLU(nn.Module):
    """ReLU on [-bound, bound] by composed odd polynomials (Lee et al. 2021, arXiv:2105.10879)."""

    def __init__(
        self,
        bound: float,
        spans: list[float],
        stages: list[list[float]],
        dtype: torch.dtype | None = None,
    ) -> None:
        """Keep the Chebyshev coefficients of each stage as a row of a buffer."""
        super().__init__()
        self.bound = bound
        self.spans = nn.Buffer(torch.tensor(spans, dtype=dtype))
        self.stages = nn.Buffer(torch.tensor(stages, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return values in the shape of ``x``."""
        return composite_relu(x, self.bound, self.spans, self.stages)


@activation("polynomial")
@dataclass(frozen=True, kw_only=True)
class PolynomialActivation(Activation):
    """A polynomial of chosen degree that is near an activation where its inputs lie.

    One is fitted to any activation on the inputs that a layer sees, by least squares or with the
    smallest largest error. By default the polynomial of degree 4 nearest to ReLU for N(0, 1).
    Outside [low, high] it grows like its highest power.
    """

    formula: ClassVar[str] = "sum of c_k T_k(y), y = (2x - low - high) / (high - low)"
    reference: ClassVar[str] = "Zhang et al. 2024 (PANN), arXiv:2402.11224 (abstract)"
    kind: ClassVar[type[nn.Module]] = Polynomial
    coefficients: tuple[float, ...] = (0.9496, 2.0, 0.2688, 0.0, -0.5312)
    low: float = -4.0  # in [-inf, inf]
    high: float = 4.0  # above low, in [-inf, inf]

    @property
    def domain(self) -> tuple[float, float]:
        """From low to high."""
        return self.low, self.high

    @staticmethod
    def compute(x: Tensor, coefficients: Sequence[float], low: float, high: float) -> Tensor:
        """Return values in the shape of ``x``."""
        y = (2 * x - (low + high)) / (high - low)
        return chebyshev(y, torch.tensor(coefficients, dtype=x.dtype, device=x.device))

    def constructor(self, channels: int | None = None) -> Constructor:  # noqa: ARG002 - one for all
        """Return how its module is made."""
        made = {**self.settings, "coefficients": list(self.coefficients)}
        return Constructor(Polynomial, made, (chebyshev, Polynomial))


@activation("pann")
@dataclass(frozen=True, kw_only=True)
class Pann(Activation):
    """ReLU by composed polynomials, off by at most bound * 2^-precision on [-bound, bound].

    Outside it explodes: set the bound to 1.2 times the largest pre-activation and more. Small
    negative inputs leak, slopes near 0 reach 5 in either direction: train with ReLU and convert
    last. Weight decay in training lowers the accuracy of the converted network, says the abstract;
    the paper's own remedies are unconfirmed. The stages minimize the largest error.
    """

    formula: ClassVar[str] = "x (1 + p(x / B)) / 2, p = p_K(...p_1(y)) near the sign of y"
    reference: ClassVar[str] = "Zhang et al. 2024, arXiv:2402.11224; Lee et al. 2021, 2105.10879"
    kind: ClassVar[type[nn.Module]] = CompositeReLU
    precision: int = 9  # bits, in [4, 13]
    bound: float = 8.0  # B, above 0, in [1e-6, inf]

    @property
    def domain(self) -> tuple[float, float]:
        """From -bound to bound."""
        return -self.bound, self.bound

    @staticmethod
    def compute(x: Tensor, precision: int, bound: float) -> Tensor:
        """Return values in the shape of ``x``."""
        spans, stages = _numbers(precision)
        return composite_relu(
            x,
            bound,
            torch.tensor(spans, dtype=x.dtype, device=x.device),
            torch.tensor(stages, dtype=x.dtype, device=x.device),
        )

    def constructor(self, channels: int | None = None) -> Constructor:  # noqa: ARG002 - one for all
        """Return how its module is made."""
        spans, stages = _numbers(self.precision)
        made = {"bound": self.bound, "spans": spans, "stages": stages}
        return Constructor(CompositeReLU, made, (odd_chebyshev, composite_relu, CompositeReLU))


def _numbers(precision: int) -> tuple[list[float], list[list[float]]]:
    """Return spans and coefficients, rows filled up with zeros to one length."""
    stages = composite_sign(DEGREES[precision])
    terms = max(len(stage.coefficients) for stage in stages)
    rows = [[*stage.coefficients, *[0.0] * (terms - len(stage.coefficients))] for stage in stages]
    return [stage.span for stage in stages], rows
