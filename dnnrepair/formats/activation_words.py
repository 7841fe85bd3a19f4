"""What the formats say of an activation, in the same words."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dnnrepair.activation_sheet import ActivationSheet, Interval

GROWS = 1.05  # slope of the map of scales above which a normalization is needed


def listed(sheets: Sequence[ActivationSheet]) -> Table:
    """Return a row for each activation."""
    columns = (
        Column(name="name", number=False),
        Column(name="formula", number=False),
        Column(name="values", number=False),
        Column(name="gain"),
        Column(name="scale"),
    )
    rows = (
        Row(
            cells=(
                sheet.name,
                sheet.formula,
                span(sheet.values) if sheet.values else "all",
                f"{sheet.gain:.3f}",
                f"{sheet.scale_slope:.2f}",
            )
        )
        for sheet in sheets
    )
    return Table(columns=columns, rows=tuple(rows))


LISTED_LEAD = (
    "gain: standard deviation of the weights before it, times sqrt(fan_in), that keeps the scale "
    "of signals. scale: above 1, errors of scale grow from layer to layer, and deep stacks want a "
    "normalization before it."
)


def facts(sheet: ActivationSheet) -> Iterator[tuple[str, str]]:
    """Yield names and values."""
    yield "Formula", sheet.formula
    yield "Source", sheet.reference
    yield "Module", _module(sheet)
    if sheet.inputs > 1:
        yield "Inputs", f"{sheet.inputs} blocks of channels for each output"
    if sheet.values and sheet.slopes:
        lowest = f", lowest at {sheet.lowest_at:.3g}" if sheet.lowest_at is not None else ""
        yield "Values", span(sheet.values) + lowest
        yield "Slopes", span(sheet.slopes)
        yield "Flat", " and ".join(map(side, sheet.flat)) or "nowhere"
    yield "Learned", ", ".join(line.name for line in sheet.settings if line.learned) or "nothing"
    yield "Initializer", f"{sheet.initializer}, gain {sheet.gain:.4g}"
    yield "For N(0, 1)", f"mean {tidy(sheet.mean)}, mean square {sheet.square:.4g}"
    yield "Gradients", f"times {sheet.chi:.4g} per layer in mean square (chi)"
    grows = "; deep stacks want a normalization before it" if sheet.scale_slope > GROWS else ""
    yield "Errors of scale", f"times {sheet.scale_slope:.3g} per layer{grows}"
    yield "Can replace", _names(sheet.replaces)
    yield "Replaced by", _names(sheet.replaced_by)


def settings(sheet: ActivationSheet) -> tuple[str, ...]:
    """Return a line for each setting."""
    return tuple(
        f"{line.name} = {line.default}{f': {line.meaning}' if line.meaning else ''}"
        for line in sheet.settings
    )


def in_words(sheet: ActivationSheet) -> str:
    """Return what the plot shows, for those who cannot see it."""
    if not sheet.curve:
        return ""
    first, last = sheet.curve[0], sheet.curve[-1]
    return (
        f"{sheet.name} and its slope from {first.x:.2g} to {last.x:.2g}: value {first.value:.3g} "
        f"to {last.value:.3g}, slope {first.slope:.3g} to {last.slope:.3g}"
    )


def view(sheet: ActivationSheet) -> Interval:
    """Return the lowest and the highest ordinate to draw; steep ends are cut off."""
    values = [point.value for point in sheet.curve]
    low, high = max(min(values), -4.0), min(max(values), 4.0)
    inner = [point.slope for point in sheet.curve if abs(point.x) < 3]  # noqa: PLR2004
    low, high = min(low, max(min(inner), -2.0)), max(high, min(max(inner), 2.0))
    spare = 0.05 * (high - low)
    return low - spare, high + spare


def span(interval: Interval) -> str:
    """Return an interval in short, such as ``-0.278 to inf``."""
    low, high = interval
    return "all" if (low, high) == (-inf, inf) else f"{tidy(low)} to {tidy(high)}"


def side(interval: Interval) -> str:
    """Return a tail in short, such as ``x < -3.93``."""
    low, high = interval
    if not isfinite(low):
        return f"x < {tidy(high)}"
    return f"x > {tidy(low)}" if not isfinite(high) else f"{tidy(low)} < x < {tidy(high)}"


def tidy(value: float) -> str:
    """Return a number with three digits; what rounding left over is 0."""
    return "0" if abs(value) < 1e-7 else f"{value:.3g}"  # noqa: PLR2004


def _module(sheet: ActivationSheet) -> str:
    longest = 72
    short = sheet.module if len(sheet.module) <= longest else sheet.module[:longest] + "…"
    return short if sheet.module.startswith("nn.") else f"{short}, source below"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
