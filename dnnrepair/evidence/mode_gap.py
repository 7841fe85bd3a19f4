"""How a network differs when its batch norms use the batch's statistics instead of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeGap:
    """Inference mode against batch statistics, on the same samples, without dropout.

    Attributes:
        samples: compared, in batches of at least 128.
        running_accuracy: with running statistics, in [0, 1]; None without class labels.
        batch_accuracy: with the batch's own statistics; None without class labels.
        running_loss, batch_loss: mean loss in the two modes; None without labels.
        similarity: linear CKA in [0, 1] between the outputs of each norm in the two modes, by
            site name, in execution order.
        staleness: divergence of what each batch norm sees when all use the batch's statistics
            from its running statistics (see ``divergence``), by site name.
    """

    samples: int
    running_accuracy: float | None
    batch_accuracy: float | None
    running_loss: float | None = None
    batch_loss: float | None = None
    similarity: Mapping[str, float] = field(default_factory=dict)
    staleness: Mapping[str, float] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """Accuracy that batch statistics win over running ones; negative where they lose."""
        if self.running_accuracy is None or self.batch_accuracy is None:
            return None
        return self.batch_accuracy - self.running_accuracy
