"""Python that a user can paste: how units are written down in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def index(units: Sequence[int], total: int = 0) -> str:
    """Return the subscript that picks ``units`` out of ``total``: a slice where they are a run.

    >>> index([0, 1, 2], 3), index([4, 5, 6, 7], 9), index([1, 5], 9)
    ('[:]', '[4:8]', '[[1, 5]]')
    """
    ordered = [int(unit) for unit in units]
    if len(ordered) == total and ordered == list(range(total)):
        return "[:]"
    if len(ordered) > 1 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"[{ordered[0]}:{ordered[-1] + 1}]"
    return f"[{ordered}]"
