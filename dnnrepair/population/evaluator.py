"""What evaluates a population of weight patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.population.places import Places


class Evaluator(Protocol):
    """Answers how fit a network would be with other values for k of its weights.

    Attributes:
        places: the k weights.
        originals: their present values, ``(k,)``.
        samples: N, the number of inputs.
        notes: what the user should know about how it works, a sentence each.
    """

    @property
    def places(self) -> Places: ...  # noqa: D102

    @property
    def originals(self) -> Tensor: ...  # noqa: D102

    @property
    def samples(self) -> int: ...  # noqa: D102

    @property
    def notes(self) -> list[str]: ...  # noqa: D102

    def __call__(self, values: Tensor, threshold: Tensor | None = None) -> Tensor:
        """Return the fitness of each candidate, float64.

        Args:
            values: of the patched weights, ``(P, k)``, or ``(S, P, k)`` for S searches of which
                each has weights of its own in the fitness.
            threshold: what a candidate must reach to matter, shaped as the result; one that cannot
                reach it may be given -inf.

        Returns:
            ``(P,)``, or ``(S, P)``.

        Raises:
            SettingError: if there is no candidate, or a value is not finite.
        """
        ...

    def verdicts(self, values: Tensor) -> Tensor:
        """Return which inputs each candidate ``(P, k)`` gets right, ``(P, N)`` bool on the CPU."""
        ...

    def logits(self, values: Tensor) -> Tensor:
        """Return the predictions of each candidate ``(P, k)``, ``(P, N, ...)`` on the CPU."""
        ...
