"""What there is to say about an activation, collected."""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING, Any, cast

import torch

from dnnrepair.activation_sheet import ActivationSheet, Point, SettingLine
from dnnrepair.activations.activation import activations, find
from dnnrepair.activations.grafts import exact
from dnnrepair.activations.moments import sloped
from dnnrepair.activations.shape import shape_of
from dnnrepair.settings import settings_of

if TYPE_CHECKING:
    from dnnrepair.activations.activation import Activation

SEEN = 4.0  # the curve goes from -4 to 4
POINTS = 160  # of the curve; even, so that none is 0


def sheets() -> list[ActivationSheet]:
    """Return a sheet for every activation, by name."""
    return [sheet_of(find(name)) for name in activations]


def sheet_of(activation: Activation) -> ActivationSheet:
    """Return what there is to say about an activation with its settings."""
    summary, _, explanation = cleandoc(activation.__doc__ or "").partition("\n")
    shape = shape_of(activation) if activation.inputs == 1 else None
    moments = activation.moments
    others = [find(name) for name in activations if name != activation.name]
    return ActivationSheet(
        name=activation.name,
        summary=summary,
        explanation=explanation.strip(),
        formula=activation.formula,
        reference=activation.reference,
        module=activation.constructor(_channels(activation)).expression,
        inputs=activation.inputs,
        values=shape.values if shape else None,
        lowest_at=shape.lowest_at if shape else None,
        slopes=shape.slopes if shape else None,
        flat=shape.flat if shape else (),
        settings=_settings(activation),
        initializer=activation.initializer,
        gain=activation.gain,
        backward_gain=moments.backward_gain,
        mean=moments.mean,
        square=moments.square,
        chi=moments.chi,
        scale_slope=moments.scale_slope,
        replaces=tuple(old.name for old in others if exact(old, activation.name)),
        replaced_by=tuple(new.name for new in others if exact(activation, new.name)),
        curve=_curve(activation) if shape else (),
        source=activation.source(_channels(activation)),
    )


def _channels(activation: Activation) -> int | None:
    return 16 if activation.settings.get("spatial") else None  # an example


def _settings(activation: Activation) -> tuple[SettingLine, ...]:
    known = settings_of(cast("Any", type(activation)))
    return tuple(
        SettingLine(
            name=name,
            default=str(getattr(value, "name", value)),
            meaning=known[name].meaning if name in known else "an activation",
            learned=name in activation.learnable,
        )
        for name, value in activation.settings.items()
    )


def _curve(activation: Activation) -> tuple[Point, ...]:
    low, high = max(-SEEN, activation.domain[0]), min(SEEN, activation.domain[1])
    step = (high - low) / POINTS
    x = low + step * (torch.arange(POINTS, dtype=torch.float64) + 0.5)
    columns = (x, *sloped(activation.function, x))
    return tuple(map(Point, *(column.tolist() for column in columns)))
