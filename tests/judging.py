"""Answers made up for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence


def answered(labels: Sequence[int], predicted: Sequence[int], *, classes: int = 3) -> Answers:
    """Return answers with classes; where -1 is predicted, they are undefined."""
    wanted, taken = (
        torch.tensor(list(values), dtype=torch.int64) for values in (labels, predicted)
    )
    return Answers(
        labels=wanted,
        predicted=taken,
        correct=wanted == taken,
        undefined=taken < 0,
        classes=classes,
    )


def valued(correct: Sequence[bool], classes: int = 0) -> Answers:
    """Return answers without classes: values, or where there are classes, tokens."""
    right = torch.tensor(list(correct))
    undefined = torch.zeros_like(right)
    return Answers(labels=None, predicted=None, correct=right, undefined=undefined, classes=classes)
