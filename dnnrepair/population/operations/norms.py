"""Normalizations: patched scales and shifts, and batch norm of a few changed channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import rule
from dnnrepair.population.operations.patching import Patched, sparse_response
from dnnrepair.population.values import Dense, Edited, Shared, Sparse

if TYPE_CHECKING:
    from dnnrepair.population.call import Call


@rule("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")
def norm(call: Call) -> Any:  # noqa: ANN401 - a value
    """Normalize, then scale and shift each unit."""
    source = call.input
    if call.get("training", False) or (
        call.get("use_input_stats", False) and call.get("running_mean") is not None
    ):
        return NotImplemented
    if isinstance(source, Shared):
        return _patched_only(call, source)
    if not call.only_input_varies():
        return NotImplemented
    if (
        isinstance(source, Sparse)
        and call.op == "batch_norm"
        and (source.dim, source.span) == (1, 1)
    ):
        return _scaled(call, source)
    if isinstance(source, Dense) and call.op in ("batch_norm", "group_norm"):
        return Dense(call.on(source.values.flatten(0, 1)).unflatten(0, source.values.shape[:2]))
    if isinstance(source, Dense) and call.op in ("layer_norm", "rms_norm"):
        return Dense(call.on(source.values))
    return NotImplemented


def _patched_only(call: Call, source: Shared) -> Any:  # noqa: ANN401 - a value
    weight, bias = call.get("weight"), call.get("bias")
    statistics = (call.get("running_mean"), call.get("running_var"))
    if any(isinstance(value, Edited) for value in statistics):
        return NotImplemented
    if any(isinstance(w, Edited) and w.base.dim() != 1 for w in (weight, bias)):
        return NotImplemented
    dim = len(source.shape) - 1 if call.op in ("layer_norm", "rms_norm") else 1
    normalized = _without_affine(call)

    def entry(column: int, unit: int, name: str) -> Patched:
        if name == "bias":
            return Patched(column, unit, lambda x: torch.ones_like(x.select(dim, unit)))
        return Patched(column, unit, lambda x: normalized(x).select(dim, unit))

    patched: list[Patched] = call.constant(
        "patched",
        lambda: [
            entry(column, unit, name)
            for name, value in (("weight", weight), ("bias", bias))
            if isinstance(value, Edited)
            for column, (unit,) in zip(value.columns, value.indices, strict=True)
        ],
    )
    return sparse_response(call, source, patched, dim)


def _without_affine(call: Call) -> Any:  # noqa: ANN401 - a function of a tensor
    settings = {k: v for k, v in call.named.items() if k not in ("input", "weight", "bias")}
    operation: Any = call.operation
    names = [argument.name for argument in operation._schema.arguments]  # noqa: SLF001

    def run(values: Tensor) -> Tensor:
        given = {names[0]: values, **settings, "weight": None}
        if "bias" in names:
            given["bias"] = None
        found: Tensor = operation(**given)
        return found

    return run


def _scaled(call: Call, source: Sparse) -> Sparse:
    """Apply the line that batch norm is in evaluation mode (Ioffe and Szegedy 2015)."""

    def line() -> tuple[Tensor, Tensor]:
        units = call.frame.constants.index(source.units)
        mean, variance = call.get("running_mean")[units], call.get("running_var")[units]
        scale = (variance + call.get("eps", 1e-5)).rsqrt()
        if call.get("weight") is not None:
            scale = scale * call.get("weight")[units]
        shift = -mean * scale
        if call.get("bias") is not None:
            shift = shift + call.get("bias")[units]
        return scale, shift

    ones = (1 for _ in source.values.shape[1:])
    shape = (-1, *ones)
    scale, shift = call.constant(("line", source.units), line)
    values = torch.addcmul(shift.view(shape), source.values, scale.view(shape))
    return Sparse(values, source.units, call.out, source.dim)
