"""The forms in which files hold labels, brought to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_TWO_DIMENSIONAL = 2
_MIN_CLASSES = 3  # of two columns, one could as well be a value


def plain_labels(targets: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """Return labels ``(samples,)`` for a column ``(samples, 1)`` or one-hot ``(samples, classes)``.

    Other targets, and columns of floating-point values, are returned as they are.

    Returns:
        The targets, and notes on what was done to them.
    """
    if targets.dim() != _TWO_DIMENSIONAL or len(targets) == 0:
        return targets, ()
    if targets.shape[1] == 1 and not targets.is_floating_point():
        return targets[:, 0], ("the column of labels was flattened",)
    if targets.shape[1] >= _MIN_CLASSES and _is_one_hot(targets):
        return targets.argmax(dim=1), ("one-hot labels became class numbers",)
    return targets, ()


def _is_one_hot(targets: Tensor) -> bool:
    binary = bool(((targets == 0) | (targets == 1)).all())
    return binary and bool((targets != 0).sum(dim=1).eq(1).all())


def numbered(names: list[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Return class numbers, in alphabetical order of the names, and a note that tells them.

    >>> numbered(["no", "yes", "no"])
    (tensor([0, 1, 0]), ('classes: 0 = no, 1 = yes',))
    """
    order = {name: place for place, name in enumerate(sorted(set(names)))}
    return torch.tensor([order[name] for name in names]), (class_note(list(order)),)


def class_note(names: list[str]) -> str:
    """Return a note that tells the first classes by number."""
    shown = ", ".join(f"{place} = {name}" for place, name in enumerate(names[:20]))
    return f"classes: {shown}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")  # noqa: PLR2004
