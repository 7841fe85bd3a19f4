"""Linear above 0, exponential below: ELU, SELU and CELU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import nn
from torch.nn import functional as F

from dnnrepair.activations.activation import Activation, activation
from dnnrepair.activations.grafts import Graft, Wrap
from dnnrepair.activations.rectifiers import slope_below

if TYPE_CHECKING:
    from typing import Self

SCALE = 1.0507009873554805  # lambda, Klambauer et al. 2017, eq. 14
ALPHA = 1.6732632423543772


@activation("elu")
@dataclass(frozen=True, kw_only=True)
class ELU(Activation):
    """ReLU with a smooth negative side: mean activations near zero, and units that do not die.

    Saturates at -a: how strongly something is absent is not coded. Continuous slope for a = 1 only.
    """

    formula: ClassVar[str] = "x if x > 0 else a (exp(x) - 1)"
    reference: ClassVar[str] = "Clevert, Unterthiner and Hochreiter 2015, arXiv:1511.07289"
    kind: ClassVar[type[nn.Module]] = nn.ELU
    compute = staticmethod(F.elu)
    alpha: float = 1.0  # a, at least 0

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of ReLU, of CELU at 1, and, within a wrap, of SELU."""
        if slope_below(old) == 0:
            return Graft(activation=cls(alpha=0.0))
        if old == CELU(alpha=1.0):
            return Graft(activation=cls(alpha=1.0))
        if old.name == "selu":
            return Graft(activation=cls(alpha=ALPHA), wrap=Wrap(alpha=SCALE))
        return None


@activation("selu")
@dataclass(frozen=True, kw_only=True)
class SELU(Activation):
    """A scaled ELU that keeps mean 0 and variance 1 from layer to layer by itself.

    For plain fully connected networks on standardized input, with LeCun normal weights and
    AlphaDropout; normalization and shortcuts undo what it is for. Use gain 1, not torch's 3/4.
    """

    formula: ClassVar[str] = "1.0507 (x if x > 0 else 1.6733 (exp(x) - 1))"
    reference: ClassVar[str] = "Klambauer et al. 2017, arXiv:1706.02515"
    initializer: ClassVar[str] = "lecun_normal"
    kind: ClassVar[type[nn.Module]] = nn.SELU
    compute = staticmethod(F.selu)

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of an ELU with the same alpha, within a wrap."""
        if old == ELU(alpha=ALPHA):
            return Graft(activation=cls(), wrap=Wrap(alpha=1 / SCALE))
        return None


@activation("celu")
@dataclass(frozen=True, kw_only=True)
class CELU(Activation):
    """An ELU with a continuous slope for every a."""

    formula: ClassVar[str] = "x if x > 0 else a (exp(x / a) - 1)"
    reference: ClassVar[str] = "Barron 2017, arXiv:1704.07483"
    kind: ClassVar[type[nn.Module]] = nn.CELU
    compute = staticmethod(F.celu)
    alpha: float = 1.0  # a, above 0, in [0.001, inf]

    @classmethod
    def imitating(cls: type[Self], old: Activation) -> Graft | None:
        """Take the place of an ELU at 1."""
        return Graft(activation=cls(alpha=1.0)) if old == ELU(alpha=1.0) else None
