"""The oracle: write the weights, run the whole network, and again for the next candidate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.backends import full_precision
from dnnrepair.errors import DataError
from dnnrepair.fitness.fitness import SCALE
from dnnrepair.fitness.outputs import recall_nothing
from dnnrepair.fixed_batch import filled
from dnnrepair.population.places import Places, check_values
from dnnrepair.population.values import Dense

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.data import Samples
    from dnnrepair.population.scores import Judge
    from dnnrepair.probe import Batch
    from dnnrepair.program import Program


@dataclass
class NaiveEvaluator:
    """Evaluates one candidate after another on the whole network; works for every network.

    Attributes:
        program: the network.
        places: the patched weights.
        data: the inputs.
        judge: turns predictions into fitness.
        device: where the network lies.
        block: inputs at a time.
        notes: what the user should know.
    """

    program: Program
    places: Places
    data: Samples
    judge: Judge
    device: torch.device
    block: int
    notes: list[str] = field(default_factory=list)

    @property
    def originals(self) -> Tensor:
        """The present values, ``(k,)``."""
        return self.places.originals(self.program.tensors)

    @property
    def samples(self) -> int:
        """N, the number of inputs."""
        return self.judge.fitness.weights.shape[-1]

    @torch.no_grad()
    @full_precision()
    def __call__(self, values: Tensor, threshold: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return the fitness of each candidate; see :class:`Evaluator`."""
        flat = values.flatten(0, -2)
        check_values(flat, self.places)
        searches = len(values) if values.dim() > 2 else 1  # noqa: PLR2004 - (S, P, k)
        sums = [self._sums(row, i * searches // len(flat)) for i, row in enumerate(flat)]
        return self.judge.total(torch.stack(sums, 1)).view(values.shape[:-1])

    @torch.no_grad()
    @full_precision()
    def verdicts(self, values: Tensor) -> Tensor:
        """Return which inputs each candidate ``(P, k)`` gets right, ``(P, N)`` bool on the CPU."""
        check_values(values, self.places)
        return torch.stack([torch.cat([v for v, _ in self._judged(row, 0)]) for row in values])

    @torch.no_grad()
    @full_precision()
    def logits(self, values: Tensor) -> Tensor:
        """Return the predictions of each candidate ``(P, k)``, ``(P, N, ...)`` on the CPU."""
        check_values(values, self.places)
        rows = [torch.cat([p.cpu() for _, p in self._predictions(row)]) for row in values]
        return torch.stack(rows)

    def _sums(self, row: Tensor, search: int) -> Tensor:
        return torch.stack([sums for _, sums in self._judged(row, search)]).sum(0)

    def _judged(self, row: Tensor, search: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield verdicts ``(n,)`` and weighted sums ``(F,)`` of one candidate, block by block."""
        weights = (self.judge.fitness.weights[:, search] * SCALE).to(self.device)
        for batch, prediction in self._predictions(row):
            targets = self.judge.check(tuple(prediction.shape), batch.targets).to(self.device)
            dense = Dense(prediction.unsqueeze(0))
            outputs = self.judge.outputs(dense, targets, recall_nothing)
            own = weights[:, batch.start : batch.start + len(batch)].to(prediction.dtype)
            right, sums = self.judge.judge(outputs, targets, own)
            yield right[0].cpu(), sums[:, 0]

    def _predictions(self, row: Tensor) -> Iterator[tuple[Batch, Tensor]]:
        patched = self.places.patched(self.program.tensors, row)
        size = self.program.batch_size
        seen = 0
        for batch in self.data.batches(size or self.block):
            inputs = filled(batch.inputs, size, self.device)
            yield batch, self.program.run(inputs, tensors=patched)[: len(batch)]
            seen += len(batch)
        if seen != self.samples:
            message = f"the fitness weighs {self.samples} inputs, the data have {seen}"
            raise DataError(message)
