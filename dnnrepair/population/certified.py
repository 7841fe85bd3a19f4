"""Which inputs need no evaluation: their verdict is right whatever a search does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.bounds import certify
from dnnrepair.fitness.fitness import SCALE

if TYPE_CHECKING:
    from dnnrepair.data import Samples
    from dnnrepair.fitness.fitness import Fitness
    from dnnrepair.population.scores import Judge
    from dnnrepair.population.settings import EvaluatorSettings
    from dnnrepair.population.suffix import Suffix
    from dnnrepair.probe import Batch
    from dnnrepair.sharding import Shards

BATCH = 1024  # inputs at a time
TRIAL = 64  # inputs on which is seen whether bounds are worth their time


@dataclass(frozen=True, slots=True)
class Dropped:
    """Inputs that are right whatever the values; none of them is evaluated.

    Attributes:
        keep: which inputs are evaluated, ``(N,)`` bool; None for all.
        sums: what the others add, of each term and search, ``(F, S)``, whole numbers of 2^-24.
    """

    keep: Tensor | None
    sums: Tensor

    @classmethod
    def of(
        cls, fitness: Fitness, keep: Tensor | None, device: torch.device, dtype: torch.dtype
    ) -> Dropped:
        """Return what the inputs that are not kept add to the fitness, computed in ``dtype``."""
        terms, searches, _ = fitness.weights.shape
        if keep is None or fitness.certain is None:
            zeros = torch.zeros(terms, searches, dtype=torch.float64, device=device)
            return cls(None, zeros)
        certain = torch.tensor(fitness.certain, dtype=dtype).view(-1, 1, 1)
        parts = (fitness.weights[..., ~keep] * SCALE).to(dtype).mul(certain).round()
        return cls(keep, parts.sum(-1, dtype=torch.float64).to(device))


def certified(
    suffix: Suffix,
    judge: Judge,
    samples: Samples,
    settings: EvaluatorSettings,
    shards: Shards,
) -> tuple[Tensor | None, list[str]]:
    """Return which inputs to evaluate, ``(N,)`` bool (None for all), and notes.

    An input is dropped if bounds on what the network can answer within the search box certify that
    it is right (:mod:`dnnrepair.bounds`), and the fitness does not ask for more.
    """
    if settings.box is None:
        return None, []
    if judge.fitness.certain is None or not judge.by_class:
        return None, ["nothing was pruned: this fitness depends on more than verdicts"]
    if suffix.program.batch_size is not None:
        return None, ["nothing was pruned: the network runs with one batch size only"]
    if judge.facts.loss == "bce":
        return None, ["nothing was pruned: the network answers with a probability, not a logit"]
    found = torch.zeros(judge.fitness.weights.shape[-1], dtype=torch.uint8)
    reason = ""
    for batch in samples.batches(BATCH, rank=shards.rank, world=shards.world):
        if batch.targets is None or batch.targets.dim() != 1:
            reason = "labels are not one per input"
        for part in torch.arange(len(batch)).split(BATCH if found.any() else TRIAL):
            if not reason:
                here, reason = _certify(suffix, settings, batch, part)
                found[batch.start + part] = here.to(torch.uint8).cpu()
    found = shards.sum(found).to(torch.bool)
    count, total = int(found.sum()), len(found)
    if not count:
        return None, [f"nothing was pruned: {reason or 'no verdict is certain over the whole box'}"]
    return ~found, [f"{count:,} of {total:,} inputs are right whatever the values: not evaluated"]


def _certify(
    suffix: Suffix, settings: EvaluatorSettings, batch: Batch, part: Tensor
) -> tuple[Tensor, str]:
    """Return which of some inputs are certified, and why none is or will be."""
    assert settings.box is not None  # the caller has one  # noqa: S101
    assert batch.targets is not None  # the caller has looked  # noqa: S101
    device = suffix.constants.device
    places = suffix.places
    low, high = (bound.to(suffix.originals) for bound in settings.box)
    result = certify(
        suffix.program,
        [(place.tensor, flat) for place, flat in zip(places.sequence, places.flat, strict=True)],
        low,
        high,
        [x[part].to(device) for x in batch.inputs],
        batch.targets[part].to(device, torch.long),
        halvings=settings.halvings,
    )
    hopeless = not result.reason and not bool(result.correct.any())
    tried = f"bounds settled none of {len(part)} inputs"
    return result.correct, result.reason or (tried if hopeless else "")
