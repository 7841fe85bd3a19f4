"""Activations by name: what each computes, as a function and as a module of plain torch.

What other parts use: :func:`find`, :class:`Activation`, :func:`exact` and :func:`fit`.
"""

from __future__ import annotations

from dnnrepair.activations.activation import Activation, Constructor, activations, find
from dnnrepair.activations.fit import Fit, fit
from dnnrepair.activations.grafts import Graft, Wrap, exact, wrapped
from dnnrepair.activations.moments import Moments

__all__ = [
    "Activation",
    "Constructor",
    "Fit",
    "Graft",
    "Moments",
    "Wrap",
    "activations",
    "exact",
    "find",
    "fit",
    "wrapped",
]
