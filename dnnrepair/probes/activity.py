"""Measure on which share of the data each unit works in the useful range of its activation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F

from dnnrepair.evidence.activity import Activity
from dnnrepair.probe import probe
from dnnrepair.probes.moments import per_unit, spaced_rows
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

COUNTED_ROWS = 2048  # rows per batch that are counted one by one; "never positive" looks at all
SLOPE_ROWS = 1024  # rows per batch on which a smooth activation's slope is measured


@dataclass(frozen=True, slots=True)
class Shape:
    """Where an activation is flat, and how to compute it.

    Attributes:
        function: the activation, elementwise.
        low: it is flat (or, for the ReLU family, off) below this.
        high: it is flat above this.
    """

    function: Callable[[Tensor], Tensor]
    low: float
    high: float = math.inf


SHAPES: Mapping[str, Shape] = {  # 5 % slope points: reference catalogue, table 2B
    "relu": Shape(F.relu, 0.0),
    "relu6": Shape(F.relu6, 0.0, 6.0),
    "leaky_relu": Shape(F.leaky_relu, 0.0),
    "prelu": Shape(lambda z: F.leaky_relu(z, 0.25), 0.0),
    "rrelu": Shape(lambda z: F.leaky_relu(z, 11 / 48), 0.0),
    "elu": Shape(F.elu, 0.0),
    "selu": Shape(F.selu, 0.0),
    "celu": Shape(F.celu, 0.0),
    "gelu": Shape(F.gelu, -3.0),
    "silu": Shape(F.silu, -3.0),
    "mish": Shape(F.mish, -3.0),
    "softplus": Shape(F.softplus, -3.0),
    "hardswish": Shape(F.hardswish, -3.0),
    "log_sigmoid": Shape(F.logsigmoid, -math.inf, 3.0),
    "sigmoid": Shape(torch.sigmoid, -4.36, 4.36),
    "tanh": Shape(torch.tanh, -2.18, 2.18),
    "hardtanh": Shape(F.hardtanh, -1.0, 1.0),
    "hardsigmoid": Shape(F.hardsigmoid, -3.0, 3.0),
    "softsign": Shape(F.softsign, -3.47, 3.47),
}


def shape_of(site: Site) -> Shape:
    """Return the shape of the activation at a site, its own parameters included."""
    shape = SHAPES[site.op]
    if site.op == "leaky_relu":
        slope = site.setting("negative_slope", 0.01)
        return Shape(lambda z: F.leaky_relu(z, slope), 0.0)
    if site.op == "hardtanh":
        low = site.setting("min_val", site.setting("min", -1.0))
        high = site.setting("max_val", site.setting("max", 1.0))
        return Shape(lambda z: F.hardtanh(z, low, high), low, high)
    return shape


@probe("activity")
class ActivityProbe:
    """Counts of positive and flat pre-activations, per unit, at each activation."""

    yields: ClassVar[type] = Activity
    sketch_only: ClassVar[bool] = False

    def watches(self, site: Site, sites: Sites) -> bool:  # noqa: ARG002 - the protocol's
        """Watch activations of known shape."""
        return site.kind is Kind.ACTIVATION and site.op in SHAPES and bool(site.shape)

    def measure(self, call: Call) -> Activity:
        """Return the counts of one batch."""
        shape = shape_of(call.site)
        values, unit_dim = per_unit(call.arguments["input"], call.site.unit_dim, call.batch.mask)
        count = values.numel() // max(values.shape[unit_dim], 1)
        rows = spaced_rows(values, unit_dim, COUNTED_ROWS)  # (rows, units)
        scale = count / max(len(rows), 1)
        ever = values.amax([d for d in range(values.dim()) if d != unit_dim]) > 0
        seen = (rows > 0).sum(0).double() * scale
        positive = torch.where(ever, seen.clamp(min=1), torch.zeros_like(seen))
        low = count - positive if shape.low == 0 else (rows < shape.low).sum(0).double() * scale
        high = (rows > shape.high).sum(0).double() * scale
        slope = positive if call.site.op == "relu" else _slope_square(shape, rows) * count
        return Activity(
            count=count,
            positive=positive.cpu().numpy(),
            low=low.cpu().numpy(),
            high=high.cpu().numpy(),
            slope_square=slope.double().cpu().numpy(),
        )


def _slope_square(shape: Shape, rows: Tensor) -> Tensor:
    """Return the mean squared slope per unit, ``(units,)``, over the first rows."""
    with torch.enable_grad():
        z = rows.detach()[:SLOPE_ROWS].requires_grad_()
        (slope,) = torch.autograd.grad(shape.function(z).sum(), z)
    return slope.square().mean(0)
