"""What data must satisfy; each refusal says what, where and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError
from dnnrepair.loss import IGNORED_LABEL

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.probe import Batch


def check_batch(batch: Batch, name: str) -> Batch:
    """Return the batch if its lengths agree and its numbers are finite.

    Raises:
        DataError: otherwise, with the index of the first bad sample.
    """
    count = len(batch.inputs[0])
    for values in (*batch.inputs[1:], batch.targets):
        if values is not None and len(values) != count:
            message = f"{name}: {count} inputs but {len(values)} labels or further inputs"
            raise DataError(message)
    for values, what in (*((x, "inputs") for x in batch.inputs), (batch.targets, "labels")):
        if values is not None and values.is_floating_point():
            _check_finite(values, what, name, batch.start)
    return batch


def check_labels(targets: Tensor, classes: int) -> None:
    """Raise a ``DataError`` if a label is not in ``0 ... classes - 1``; -100 is ignored."""
    if targets.is_floating_point():
        return
    bad = (targets != IGNORED_LABEL) & ((targets < 0) | (targets >= classes))
    if bool(bad.any()):
        label = int(targets[bad].flatten()[0])
        message = (
            f"label {label} is out of range: the network answers with {classes} classes, "
            f"0 to {classes - 1}; check the labels or the architecture"
        )
        raise DataError(message)


def _check_finite(values: Tensor, what: str, name: str, start: int) -> None:
    if bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all()):
        return
    bad = ~torch.isfinite(values).reshape(len(values), -1).all(dim=1)
    first = start + int(bad.nonzero()[0])
    message = (
        f"{name}: the {what} of {int(bad.sum())} samples in this batch hold NaN or infinity, "
        f"first in sample {first}; remove or fill them"
    )
    raise DataError(message)
