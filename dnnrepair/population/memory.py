"""Running out of memory, told apart from other failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

from dnnrepair.errors import DnnRepairError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "alloc_cpu")


class TooLargeError(DnnRepairError):
    """Memory does not suffice even for the smallest piece of work."""


def fitting(work: Callable[[], T]) -> T:
    """Return the result of some work.

    Raises:
        TooLargeError: if memory, of the CPU or of a device, does not suffice.
    """
    try:
        return work()
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _too_large() from error
    except RuntimeError as error:  # what torch raises on the CPU
        if any(word in str(error) for word in _WORDS):
            raise _too_large() from error
        raise


def _too_large() -> TooLargeError:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    message = "memory does not suffice for one candidate; use fewer inputs at a time (block)"
    return TooLargeError(message)
