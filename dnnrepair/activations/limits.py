"""Activations that become another one as they grow sharper."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations.activation import find
from dnnrepair.activations.grafts import Graft, Wrap
from dnnrepair.activations.rectifiers import slope_below
from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from dnnrepair.activations.activation import Activation

FAR = 1e4  # where an activation that tends to ReLU is a straight line
NEAR = 30.0  # times 1 / sharpness: beyond it, what is left of the distance falls
_SLACK = 1e-3  # of FAR
_OWN = {"swish": ("beta",), "softplus": ("beta",), "ulu": ("a1", "a2"), "aulu": ("a1", "a2")}
_POINTS = 60_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A graft that is as near as the sharpness makes it.

    Attributes:
        graft: how the new activation takes the old one's place.
        error: largest distance of the two for any input.
    """

    graft: Graft
    error: float


def limit(old: Activation, new: str, sharpness: float) -> Limit | None:
    """Return the graft that tends to ``old`` as the sharpness grows; None if none is known.

    Of Swish, Softplus, ULU and AULU the sharpness is a setting of their own. Whatever else tends to
    ReLU far from 0 does so as ``h(s x) / s``, at a distance that falls like 1 / s. xIELU tends to
    ELU(1) with beta = 1, P -> 0, N -> 1, and to the square of ReLU with beta -> 0, P = 1, N -> 0.

    Args:
        old: what is replaced.
        new: name of what takes its place.
        sharpness: above 0; 5 leaves much of what the new one was chosen for, 100 next to nothing.

    Raises:
        SettingError: if the sharpness is not a finite number above 0.
        UnknownNameError: if there is no activation ``new``.
    """
    if not 0 < sharpness < inf:
        message = f"sharpness takes finite numbers above 0, not {sharpness}"
        raise SettingError(message)
    name = find(new).name
    graft = _rectified(name, sharpness) if slope_below(old) == 0 else None
    if name == "xielu":
        graft = _integrated(old, sharpness)
    return None if graft is None else Limit(graft=graft, error=_distance(old, graft, sharpness))


def _rectified(name: str, sharpness: float) -> Graft | None:
    if name in _OWN:
        own = sharpness / len(_OWN[name])  # ULU's slope is that of Swish with twice its a
        return Graft(activation=find(name, **dict.fromkeys(_OWN[name], own)))
    activation = find(name)
    if activation.inputs != 1 or activation.domain != (-inf, inf):
        return None
    ends = activation.function(torch.tensor([-FAR, FAR], dtype=torch.float64))
    off = (ends - torch.tensor([0.0, FAR], dtype=torch.float64)).abs().max()
    if float(off) > _SLACK * FAR:
        return None
    return Graft(activation=activation, wrap=Wrap(alpha=1 / sharpness, beta=sharpness))


def _integrated(old: Activation, sharpness: float) -> Graft | None:
    small = exp(-min(sharpness, NEAR))  # below that, xIELU's own parameters cannot be written
    if old == find("elu", alpha=1.0):
        return Graft(activation=find("xielu", positive=small, negative=1 + small, beta=1.0))
    if old.name == "relu_squared":
        return Graft(activation=find("xielu", positive=1.0, negative=2 * small, beta=small))
    return None


def _distance(old: Activation, graft: Graft, sharpness: float) -> float:
    """Return the largest distance of both for any input, or for inputs up to ``NEAR``."""
    reach = NEAR / min(sharpness, 1.0)
    fine = torch.linspace(-NEAR / sharpness, NEAR / sharpness, _POINTS, dtype=torch.float64)
    wide = torch.linspace(-reach, reach, _POINTS, dtype=torch.float64)
    x = torch.cat([fine, wide, wide.new_tensor([-FAR, FAR])])
    if graft.activation.name == "xielu":
        x = wide
    return float((graft.wrap.apply(graft.activation, x) - old.function(x)).abs().max())
