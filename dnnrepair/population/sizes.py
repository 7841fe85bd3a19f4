"""How many inputs and candidates to evaluate at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from dnnrepair.population.settings import EvaluatorSettings

VECTOR = 16  # numbers that processors compute at once, at most
SHARING = 8  # candidates, if there are as many, that share one reading of a block's record
SMALLEST, LARGEST = 32, 4096  # inputs in a block


@dataclass(frozen=True, slots=True)
class Sizes:
    """What suits a kind of processor; a pair is one candidate on one input.

    Attributes:
        working_set: bytes that the largest varying value of a chunk may take.
        overhead: pairs below which the calls themselves cost more than what they leave behind.
        spill: bytes that the largest varying value may take with no more pairs than that.
        recorded: bytes of a block's record, which every chunk of candidates reads anew.
    """

    working_set: int
    overhead: int
    spill: int
    recorded: int

    @classmethod
    def of(cls, device: torch.device) -> Sizes:
        """Return those of a processor."""
        return ON_CPU if device.type == "cpu" else ON_DEVICE

    def choose(
        self, per_pair: int, recorded: int, count: int, settings: EvaluatorSettings
    ) -> tuple[int, int]:
        """Return how many inputs and how many candidates to evaluate at a time.

        Args:
            per_pair: bytes of the largest varying value.
            recorded: bytes that are kept of one input.
            count: of all inputs.
            settings: what the user chose instead.
        """
        fitting = (settings.working_set or self.working_set) // per_pair
        pairs = max(fitting, min(self.overhead, self.spill // per_pair), SMALLEST)
        most = min(pairs // SHARING, self.recorded // max(1, recorded), LARGEST)
        whole = max(SMALLEST, most // VECTOR * VECTOR)  # no input is computed only to fill up
        block = settings.block or min(whole, count)
        return block, settings.chunk or max(1, pairs // block)


# One core's share of its caches, the second and the third level.
ON_CPU = Sizes(working_set=5 << 20, overhead=512, spill=8 << 20, recorded=16 << 20)
# A product reaches its rate there from some 30,000 rows of 1,024 numbers on: with what suits the
# cache of a core, most of the processors would have nothing to do.
ON_DEVICE = Sizes(working_set=256 << 20, overhead=4096, spill=1 << 30, recorded=1 << 30)
