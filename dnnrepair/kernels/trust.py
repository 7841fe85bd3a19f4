"""Whether kernels work where they are to run: compared once with plain torch, before they count.

They have not run on every device that there is, and compilers and drivers err, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor


def differing(
    mine: Callable[[], Iterable[Tensor]],
    plain: Callable[[], Iterable[Tensor]],
    tolerance: float = 0.0,
) -> str:
    """Return why kernels are not to be used, "" if they are.

    Args:
        mine: what they find.
        plain: the same by torch.
        tolerance: of the largest number of each tensor; 0 asks for the same bits.
    """
    try:
        found = list(mine())
    except Exception as error:  # noqa: BLE001 - of a compiler, a driver, a library
        return f"they fail here ({str(error).partition(chr(10))[0] or type(error).__name__})"
    pairs = zip(found, plain(), strict=True)
    if all(_alike(one, other, tolerance) for one, other in pairs):
        return ""
    return "they find otherwise than torch does"


def _alike(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    if not tolerance:
        return torch.equal(found, wanted)
    return bool((found - wanted).abs().max() <= tolerance * wanted.abs().max())  # not so for NaN
