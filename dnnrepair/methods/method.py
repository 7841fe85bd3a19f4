"""What a repair method is: it sees a problem and proposes changes of weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from dnnrepair.progress import silent
from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.data import ArraySamples
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the data, and what the unpatched network makes of them.

    Attributes:
        samples: n inputs with labels.
        correct: which of them it gets right, bool ``(n,)``.
        targets: which of the wrong ones are to be fixed, bool ``(n,)``.
        protected: which of the right ones must stay right, bool ``(n,)``.
        cost: what a wrong answer to each costs, ``(n,)``, above 0; 1 where risks are not weighed.
    """

    samples: ArraySamples
    correct: Tensor
    targets: Tensor
    protected: Tensor
    cost: Tensor

    def at(self, places: Tensor) -> Part:
        """Return the inputs at some places, int64 ``(m,)``, ascending."""
        return Part(
            samples=self.samples.subset(places.cpu().numpy(), self.samples.name),
            correct=self.correct[places],
            targets=self.targets[places],
            protected=self.protected[places],
            cost=self.cost[places],
        )


def used(part: Part) -> Part:
    """Return the inputs that count: those to fix and those that are right."""
    return part.at((part.targets | part.correct).nonzero()[:, 0])


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be repaired, and with what.

    Attributes:
        subject: the network, or the part of it that may change.
        search: the inputs to search with: the network's, or what that part reads.
        selection: inputs to choose among proposals with; a method may stop early by them, but must
            not fit weights to them.
        max_broken: share of the right inputs that may break, None for no limit.
        seed: of whatever is random.
        layers: names of the layers whose weights may change, or their tensors; empty for any.
        tolerance: by which a predicted value may be off, above 0.
        data: digest of all the data.
        checkpoint: the file of the patch; long searches are kept beside it. None to keep none.
        progress: is told how far the work has come.
    """

    subject: Subject
    search: Part
    selection: Part
    max_broken: float | None = None
    seed: int = 0
    layers: tuple[str, ...] = ()
    tolerance: float = 1.0
    data: str = ""
    checkpoint: Path | None = None
    progress: Progress = field(default=silent)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One change that a method found.

    Attributes:
        name: what distinguishes it among the method's, such as "alpha 10".
        tensors: new values of the parameters that change, by name, whole and in their own type.
        settings: with which it was found, as JSON can hold them.
    """

    name: str
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)


class Method(Protocol):
    """Proposes changes; its fields are its settings, its docstring explains it."""

    name: ClassVar[str]

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the parameters that it may change; empty for any.

        What lies in front of them is then run only once.

        Args:
            subject: the network.
            layers: names of layers or tensors that may change; empty for any.
        """
        ...

    def propose(self, problem: Problem) -> Sequence[Proposal]:
        """Return changes, from the gentlest to the boldest; none if it found none.

        Raises:
            DnnRepairError: if the method cannot work on this problem, and why.
        """
        ...


methods: Registry[type[Method]] = Registry("method", "dnnrepair.methods")
M = TypeVar("M", bound=type[Method])


def method(name: str) -> Callable[[M], M]:
    """File a class as a method under its name."""

    def file(kind: M) -> M:
        methods.file(name, kind)
        return kind

    return file
