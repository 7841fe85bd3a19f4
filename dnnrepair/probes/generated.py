"""Compare the spread of a generator's outputs with that of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.generated import Generated
from dnnrepair.observation import Task
from dnnrepair.probe import NotMeasuredError, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.probe import Session

MIN_SAMPLES = 32
NEAR = 0.1  # of the median nearest distance of real samples: a repeat


@probe("generated")
class GeneratedProbe:
    """Pairwise distances and effective rank of generated and real samples."""

    yields: ClassVar[type] = Generated

    def measure_session(self, session: Session) -> Iterator[tuple[str, Generated]]:
        """Yield the comparison for the network as a whole."""
        if session.facts.task is not Task.GENERATE:
            message = "the network is no generator (--task generate)"
            raise NotMeasuredError(message)
        real = [b.targets.flatten(1).double() for b in session.batches if b.targets is not None]
        if len(real) < len(session.batches) or sum(map(len, real)) < MIN_SAMPLES:
            message = f"needs {MIN_SAMPLES} real samples as targets beside the latent inputs"
            raise NotMeasuredError(message)
        with torch.no_grad():
            made = [session.program.run(b.inputs).flatten(1).double() for b in session.batches]
        if made[0].shape[1] != real[0].shape[1]:
            message = f"outputs hold {made[0].shape[1]} numbers, real samples {real[0].shape[1]}"
            raise NotMeasuredError(message)
        yield "", spread(torch.cat(made), torch.cat(real))


def spread(made: Tensor, real: Tensor) -> Generated:
    """Compare two sets of samples, ``(N, D)`` each."""
    distances, real_distances = torch.pdist(made), torch.pdist(real)
    near = _nearest(real).median() * NEAR
    return Generated(
        samples=len(made),
        distance=float(distances.median()),
        real_distance=float(real_distances.median()),
        rank=effective_rank(made),
        real_rank=effective_rank(real),
        repeats=float((_nearest(made) < near).double().mean()),
    )


def effective_rank(values: Tensor) -> float:
    """Return exp(entropy) of the normalized covariance spectrum of ``(N, D)``; 0 if constant.

    Roy and Vetterli 2007, EUSIPCO, equation 3, on eigenvalues of the covariance.
    """
    if not bool(torch.isfinite(values).all()):
        return float("nan")
    shares = torch.linalg.svdvals(values - values.mean(0)).square()
    if not float(shares.sum()) > 0:
        return 0.0
    shares = shares / shares.sum()
    return float(torch.special.entr(shares).sum().exp())


def _nearest(values: Tensor) -> Tensor:
    """Return the distance to the nearest other sample, ``(N,)``."""
    apart = torch.cdist(values, values)
    return apart.fill_diagonal_(float("inf")).amin(1)
