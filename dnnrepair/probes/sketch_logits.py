"""Keep the predictions of the sketch, for a search over temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.sketch_logits import SketchLogits
from dnnrepair.observation import Task
from dnnrepair.probe import NotMeasuredError, probe
from dnnrepair.probes.predictions import probabilities, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.probe import Batch, Session

MOST_ROWS = 4096  # of tokens; samples are at most 512


@probe("sketch-logits")
class SketchLogitsProbe:
    """Log-probabilities and labels of the sketch."""

    yields: ClassVar[type] = SketchLogits

    def measure_session(self, session: Session) -> Iterator[tuple[str, SketchLogits]]:
        """Yield them for the network as a whole."""
        if session.facts.task is not Task.CLASSIFY:
            message = "the network does not classify"
            raise NotMeasuredError(message)
        session.loss()
        rows = [self._rows(batch, session) for batch in session.batches]
        scores = torch.cat([part[0] for part in rows])
        labels = torch.cat([part[1] for part in rows])
        step = max(1, -(-len(scores) // MOST_ROWS))
        yield (
            "",
            SketchLogits(scores=scores[::step].cpu().numpy(), labels=labels[::step].cpu().numpy()),
        )

    def _rows(self, batch: Batch, session: Session) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            prediction = session.program.run(batch.inputs)
        rows = rows_of(prediction.double(), batch, session.facts)
        if rows.labels is None:
            message = "needs labels: give --data with labels"
            raise NotMeasuredError(message)
        return probabilities(rows.scores, session.facts).clamp(min=1e-300).log(), rows.labels
