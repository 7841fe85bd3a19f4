"""Straight lines with limits: Hardtanh, ReLU6 and Hardsigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft, Wrap

if TYPE_CHECKING:
    from typing import Self


@activation("hardtanh")
@dataclass(frozen=True, kw_only=True)
class Hardtanh(Activation):
    """The identity between two limits, for quantized networks and small devices.

    A unit beyond a limit gets no gradient at all: one that is there on every sample is dead.
    """

    formula: ClassVar[str] = "min(max(x, l), h)"
    reference: ClassVar[str] = "Collobert 2004; Courbariaux et al. 2016, arXiv:1602.02830"
    initializer: ClassVar[str] = "xavier_normal"
    kind: ClassVar[type[nn.Module]] = nn.Hardtanh
    compute = staticmethod(F.hardtanh)
    min_val: float = -1.0  # l, below h, in [-inf, inf]
    max_val: float = 1.0  # h, in [-inf, inf]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU6, and, within a wrap, of Hardsigmoid."""
        if isinstance(old, ReLU6):
            return Graft(activation=cls(min_val=0.0, max_val=6.0))
        if isinstance(old, Hardsigmoid):
            limited = cls(min_val=-3.0, max_val=3.0)
            return Graft(activation=limited, wrap=Wrap(alpha=1 / 6, delta=0.5))
        return None


@activation("relu6")
@dataclass(frozen=True, kw_only=True)
class ReLU6(Activation):
    """ReLU with an upper limit, so that few bits can hold it; of the first MobileNets."""

    formula: ClassVar[str] = "min(max(0, x), 6)"
    reference: ClassVar[str] = "Krizhevsky 2010; Howard et al. 2017, arXiv:1704.04861"
    kind: ClassVar[type[nn.Module]] = nn.ReLU6
    compute = staticmethod(F.relu6)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of a Hardtanh with the same limits."""
        same = isinstance(old, Hardtanh) and (old.min_val, old.max_val) == (0, 6)
        return Graft(activation=cls()) if same else None


@activation("hardsigmoid")
@dataclass(frozen=True, kw_only=True)
class Hardsigmoid(Activation):
    """A sigmoid in straight pieces, for gates on small devices; exactly 0 and 1 beyond 3."""

    formula: ClassVar[str] = "min(max(x + 3, 0), 6) / 6"
    reference: ClassVar[str] = "Howard et al. 2019 (MobileNetV3), arXiv:1905.02244"
    initializer: ClassVar[str] = "xavier_normal"
    kind: ClassVar[type[nn.Module]] = nn.Hardsigmoid
    compute = staticmethod(F.hardsigmoid)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of a Hardtanh between -3 and 3, within a wrap."""
        if isinstance(old, Hardtanh) and (old.min_val, old.max_val) == (-3, 3):
            return Graft(activation=cls(), wrap=Wrap(alpha=6, delta=-3))
        return None
