"""What there is to say about one activation, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingLine:
    """One setting of an activation: name, default, and what it means."""

    name: str
    default: str
    meaning: str
    learned: bool


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: input, value and slope."""

    x: float
    value: float
    slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationSheet:
    """One activation.

    Attributes:
        name: that it is found by.
        summary: the first line of its documentation.
        explanation: the rest of it.
        formula, reference: of the literature.
        module: the expression that makes its module; of torch.nn if it begins with ``nn.``.
        inputs: pre-activations for each output.
        values: lowest and highest output, infinite where there is no bound; None if it has several
            inputs.
        lowest_at: input of the lowest output, None if that is at no finite place.
        slopes: lowest and highest slope; as ``values``.
        flat: tails in which the slope is below 5 % of the largest.
        settings: its fields.
        initializer, gain: that suit the layer before it; for SwiGLU, the layer behind it.
        backward_gain: the gain that keeps gradients instead.
        mean, square: of the outputs for N(0, 1).
        chi: factor of the mean square of gradients per layer under the gain.
        scale_slope: above 1, errors of scale grow from layer to layer.
        replaces: activations whose place it can take without changing the function, at their
            defaults.
        replaced_by: activations that can take its place without changing the function.
        curve: for a plot.
        source: Python that makes its module and needs torch only.
    """

    name: str
    summary: str
    explanation: str
    formula: str
    reference: str
    module: str
    inputs: int
    values: Interval | None
    lowest_at: float | None
    slopes: Interval | None
    flat: tuple[Interval, ...]
    settings: tuple[SettingLine, ...]
    initializer: str
    gain: float
    backward_gain: float
    mean: float
    square: float
    chi: float
    scale_slope: float
    replaces: tuple[str, ...]
    replaced_by: tuple[str, ...]
    curve: tuple[Point, ...]
    source: str
