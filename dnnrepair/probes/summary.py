"""Summarize the numbers of every parameter and buffer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.observation import Role
from dnnrepair.probe import probe

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo

SAMPLE = 1 << 20  # values whose order is examined, evenly spaced


@probe("summary")
class SummaryProbe:
    """Finiteness, magnitudes, spread and grain of every tensor."""

    yields: ClassVar[type] = TensorSummary

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> TensorSummary | None:
        """Return the summary, None of an empty tensor."""
        value = value.detach()
        if not value.numel():
            return None
        if not value.is_floating_point():
            return TensorSummary(count=value.numel(), **_nonfinite(value))
        found = _nonfinite(value)
        if found:
            return TensorSummary(count=value.numel(), **found)
        return TensorSummary(
            count=value.numel(), **_magnitudes(value), **_spreads(info, value), **_grain(value)
        )


def matrices(info: TensorInfo, value: Tensor) -> Tensor:
    """Return a weight as ``(blocks, units, inputs)``; one matrix per gate of a recurrent layer."""
    units_first = value.movedim(info.unit_dim, 0).flatten(1)
    blocks = info.blocks if len(units_first) % info.blocks == 0 else 1
    return units_first.reshape(blocks, -1, units_first.shape[1])


def _nonfinite(value: Tensor) -> dict[str, Any]:
    """Return counts of numbers that are not finite, nothing if all are."""
    bad = ~torch.isfinite(value)
    if not bool(bad.any()):
        return {}
    first = int(bad.reshape(-1).int().argmax())
    nans = int(torch.isnan(value).sum())
    return {
        "nans": nans,
        "infinite": int(bad.sum()) - nans,
        "negative_infinite": 0 if value.is_complex() else int(torch.isneginf(value).sum()),
        "first": tuple(int(i) for i in np.unravel_index(first, value.shape or (1,))),
    }


def _magnitudes(value: Tensor) -> dict[str, Any]:
    size = value.abs()
    count = value.numel()
    ordered = size.reshape(-1)[:: max(1, count // SAMPLE)]
    nonzero = ordered[ordered > 0]
    smallest = torch.finfo(value.dtype).tiny
    return {
        "zero_share": int((size == 0).sum()) / count,
        "tiny_share": int(((size > 0) & (size < smallest)).sum()) / count,
        "max_abs": float(size.max()),
        "median_abs": float(nonzero.median()) if len(nonzero) else 0.0,
        "norm": float(torch.linalg.vector_norm(value, dtype=torch.float64)),
    }


def _spreads(info: TensorInfo, value: Tensor) -> dict[str, Any]:
    if info.role not in (Role.WEIGHT, Role.RECURRENT, Role.EMBEDDING) or value.dim() < 2:  # noqa: PLR2004
        return {"stds": (float(value.double().std(correction=0)),)}
    blocks = matrices(info, value).double()
    gains = blocks.square().mean((1, 2)) * info.fan_in
    return {
        "stds": tuple(blocks.std((1, 2), correction=0).tolist()),
        "gains": tuple(gains.tolist()) if info.fan_in else (),
    }


def _grain(value: Tensor) -> dict[str, Any]:
    values = value.reshape(-1)[:: max(1, value.numel() // SAMPLE)]
    small = values.dtype in (torch.float16, torch.bfloat16)
    plain = (values.float() if small else values).cpu().numpy()
    levels = np.unique(plain)  # ten times as fast as torch.unique
    share = len(levels) / len(plain)
    gaps = np.diff(levels.astype(np.float64))
    quarter = len(gaps) // 4
    middle = gaps[quarter : len(gaps) - quarter]
    spread = float(middle.std() / middle.mean()) if len(middle) else math.inf
    return {"levels": len(levels), "unique_share": share, "grid_cv": spread}
