"""Reading data without leaving a trace: the same numbers in every pass, no global state changed."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def guarded(seed: int) -> Iterator[None]:
    """Give code that draws from the global generators its own seed; they end as they were."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - whatever a dataset uses
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def reproducible(
    dataset: Any,  # noqa: ANN401 - anything with indices
    places: Sequence[Sequence[int]],
    settings: dict[str, Any],
) -> DataLoader[Any]:
    """Return a loader of the batches at ``places``, with a generator of its own.

    Args:
        dataset: with indices.
        places: indices per batch.
        settings: further arguments of the loader.
    """
    rng = torch.Generator().manual_seed(0)
    return DataLoader(dataset, batch_sampler=places, generator=rng, **settings)  # type: ignore[arg-type]
