"""Where a task runs: fused where it can be, in plain torch where it cannot."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.kernels.fused import FusedConv, FusedHead, FusedTail
from dnnrepair.kernels.reference import ConvReference, HeadReference, TailReference
from dnnrepair.kernels.shape import MAX_UNITS, Shape

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.kernels.tasks import ConvEvaluator, ConvTail, Evaluator, Head, Tail

PRECISIONS = ("ieee", "tf32", "tf32x3", "bf16")
MAX_OFFSET = 2**31  # rows are addressed by 32 bits


def available() -> str:
    """Return why fused kernels cannot run here; empty if they can.

    Under ``TRITON_INTERPRET=1``, set before Triton is imported, they run on the CPU, slowly.
    """
    if find_spec("triton") is None:
        return "Triton is not installed"
    if _interpreted() or torch.cuda.is_available():
        return ""
    return "there is no CUDA device"


def head(task: Head, *, shape: Shape | None = None) -> Evaluator:
    """Prepare a patched last Linear.

    Args:
        task: what stays the same.
        shape: the block of a program; chosen from the sizes by default.
    """
    rows = max(len(task.columns), len(task.base))
    if not _evaluates(task.base) or rows * task.base.shape[1] >= MAX_OFFSET:
        return HeadReference(task)
    return FusedHead.of(task, shape)


def tail(task: Tail, *, shape: Shape | None = None) -> Evaluator:
    """Prepare a patched layer before the last Linear; see :func:`head`.

    More than 64 touched units run in plain torch.
    """
    rows = max(len(task.columns), len(task.base), MAX_UNITS)
    fits = rows * task.base.shape[1] < MAX_OFFSET and len(task.before) <= MAX_UNITS
    if not _evaluates(task.base) or not fits:
        return TailReference(task)
    return FusedTail.of(task, shape)


def conv_tail(task: ConvTail, *, precision: str = "ieee") -> ConvEvaluator:
    """Prepare a patched convolution before a Linear; see :func:`head`.

    Args:
        task: what stays the same.
        precision: of the products: "ieee" is float32; "tf32", "tf32x3" and "bf16" round the change
            (not the base) and are for a screen (:func:`dnnrepair.kernels.screened`).

    Raises:
        SettingError: the precision is none of these.
    """
    if precision not in PRECISIONS:
        message = f"no precision {precision!r}; choose from {', '.join(PRECISIONS)}"
        raise SettingError(message)
    if not _evaluates(task.base) or task.weight.numel() >= MAX_OFFSET:
        return ConvReference(task)
    return FusedConv.of(task, precision)


def runs_on(tensor: Tensor) -> bool:
    """Tell whether kernels run where a tensor lies."""
    return (tensor.is_cuda or _interpreted()) and not available()


def _evaluates(base: Tensor) -> bool:
    return base.dtype == torch.float32 and runs_on(base)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"
