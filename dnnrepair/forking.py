"""Forked processes, and autograd in them: what must come first, and whether it works."""

from __future__ import annotations

import warnings
from multiprocessing import get_context
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkProcess


def begin_autograd() -> None:
    """Compute a gradient, so that this process has done so before it exports a network.

    Where there is no CUDA device an export makes torch count eight of them. A first gradient after
    that starts a thread for each, and no forked process can compute gradients any more.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        torch.ones(1, device="cpu", requires_grad=True).sum().backward()


def forked(target: Callable[..., None], *args: object) -> ForkProcess:
    """Return a process that has begun to call ``target``, and ends with this one."""
    process = get_context("fork").Process(target=target, args=args, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: the child uses none of them
        process.start()
    return process


def forks_train() -> bool:
    """Return whether a forked process can compute gradients.

    It cannot where autograd has threads: with a GPU, or if somebody else has exported a network
    before the first gradient.
    """
    process = forked(_try)
    process.join()
    return process.exitcode == 0


def _try() -> None:
    try:
        begin_autograd()
    except RuntimeError as error:
        raise SystemExit(1) from error
