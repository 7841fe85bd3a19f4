"""What is to be made fair, with what, and what may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dnnrepair.errors import DataError
from dnnrepair.fitness.fairness import Limits
from dnnrepair.progress import silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.fairness.cohort import Cohort
    from dnnrepair.fitness.disparity import Disparity
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a search works on; it never sees the rows that judge.

    Attributes:
        subject: the network.
        repair: the rows that weights are fitted to.
        select: the rows that choose among candidates.
        disparity: what is to be made small.
        names: of the tensors that may change.
        masks: which of their numbers may, 1 or 0, by name; all if it is not named.
        bound: by which a number may change at most; None for any.
        limits: what the repair may cost.
        seed: of whatever is random.
        checkpoint: the file of the patch; a long search is kept beside it. None to keep none.
        progress: is told how far the work has come.
    """

    subject: Subject
    repair: Cohort
    select: Cohort
    disparity: Disparity
    names: tuple[str, ...]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    bound: float | None = None
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    checkpoint: Path | None = None
    progress: Progress = field(default=silent)

    def __post_init__(self) -> None:
        """Check that the objective has a meaning.

        Raises:
            DataError: it compares twins, and the attribute is no input of the network.
        """
        if not self.disparity.rates and not self.repair.twins:
            message = (
                f"--objective flip needs {self.repair.attribute!r} among the network's inputs: "
                "without it no decision can flip; choose another objective"
            )
            raise DataError(message)

    def storable(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Round new values to what the network's file can hold: what is judged can be stored."""
        return {
            name: value.to(self.subject.stored.get(name, value.dtype)).to(value.dtype)
            for name, value in tensors.items()
        }
