"""What torch's libraries are set to for a while: all digits of float32, or no cuDNN."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@contextmanager
def full_precision() -> Iterator[None]:
    """Let convolutions, recurrent layers and matrix products keep all digits of float32.

    By default cuDNN rounds the operands of convolutions and recurrent layers to TF32, and a process
    may ask for the same, or for bfloat16, in matrix products: relative errors of 1e-3, in which a
    patch's effect drowns. What the process had set is set again at the end.
    """
    backends: Any = torch.backends  # not annotated
    of_cuda = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
    of_cpu = (backends.mkldnn.conv, backends.mkldnn.rnn, backends.mkldnn.matmul)
    parts = (*of_cuda, *of_cpu)
    before = [part.fp32_precision for part in parts]
    # The older settings have to agree with those of the parts, or torch refuses to tell them.
    products = _known(torch.get_float32_matmul_precision)
    rounded = _known(lambda: torch.backends.cudnn.allow_tf32)
    try:
        if products is not None:
            torch.set_float32_matmul_precision("highest")
        if rounded:
            torch.backends.cudnn.allow_tf32 = False
        for part in parts:
            part.fp32_precision = "ieee"
        yield
    finally:
        if products is not None:
            torch.set_float32_matmul_precision(products)
        if rounded:
            torch.backends.cudnn.allow_tf32 = True
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Do without cuDNN, whose recurrent layers have no gradient in evaluation mode.

    ``torch.backends.cudnn.flags`` refuses where a process has set the precision of convolutions
    apart from that of recurrent layers.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


def _known(setting: Callable[[], T]) -> T | None:
    """Return a setting of all parts together; None where a process has set parts by themselves."""
    try:
        return setting()
    except RuntimeError:
        return None
