"""What a treatment is: it changes a copy of a network, and trains it if that is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, TypeVar

from dnnrepair.causes import family
from dnnrepair.registry import Registry
from dnnrepair.repairing.states import with_state
from dnnrepair.repairing.teaching import Teacher
from dnnrepair.swapping.draft import Draft
from dnnrepair.swapping.source import module_of, source_of
from dnnrepair.swapping.where import Where

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from dnnrepair.finding import Finding
    from dnnrepair.progress import Progress
    from dnnrepair.recover import Lesson, Recipe
    from dnnrepair.subject import Subject
    from dnnrepair.swap_report import Swap
    from dnnrepair.swapping.operation import Operation


STEPS_AN_EPOCH = 14  # with fewer samples than that, there are more epochs


class Cost(IntEnum):
    """How much of what the network has learned a treatment puts at risk; the least goes first."""

    EXACT = 0  # nothing is trained
    TRAINED = 1  # the function is kept, or nearly, and trained from there
    REDRAWN = 2  # weights are drawn anew, and what was learned is lost


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a treatment sees.

    Attributes:
        subject: the network, with the search part as its data.
        code: of the findings that are to be cleared; "" where it was chosen at random.
        findings: those of this code; empty likewise.
        lesson: what the network may be trained on.
        generator: of whatever is random.
        seconds: that training may take, None for any.
        progress: is told how far the work has come.
        teacher: trains.
    """

    subject: Subject
    code: str
    findings: tuple[Finding, ...]
    lesson: Lesson
    generator: torch.Generator
    seconds: float | None
    progress: Progress
    teacher: Teacher = field(default_factory=Teacher)

    @property
    def where(self) -> Where:
        """The layers and units that the findings name, or all."""
        return Where.of(self.findings, self.code) if self.findings else Where()


@dataclass(frozen=True, kw_only=True)
class Treated:
    """A treated copy.

    Attributes:
        subject: the copy.
        done: what was done to it, a sentence each.
        epochs: that it was trained.
        swaps: what operations did to its graph or to its numbers.
        structural: its graph changed, and not only numbers.
        elsewhere: seconds that another process has trained it; 0 if this one did.
        earlier: that was in a run before this one.
    """

    subject: Subject
    done: tuple[str, ...]
    epochs: int = 0
    swaps: tuple[Swap, ...] = ()
    structural: bool = False
    elsewhere: float = 0.0
    earlier: bool = False


class Treatment(ABC):
    """Changes a copy of a network; its docstring explains it.

    Attributes:
        name: in reports.
        codes: of the findings it is for, or families such as ``BN``.
        cost: what it puts at risk.
        recipe: by which the changed copy is trained, None if it is not.
    """

    name: ClassVar[str]
    codes: ClassVar[tuple[str, ...]]
    cost: ClassVar[Cost]

    recipe: ClassVar[Recipe | None] = None

    @abstractmethod
    def begin(self, case: Case) -> Treated:
        """Return a changed copy that was not trained.

        Raises:
            DnnRepairError: it cannot be changed so, and why.
        """

    def treat(self, case: Case) -> Treated:
        """Return a treated copy, trained by the recipe if there is one.

        Raises:
            DnnRepairError: it cannot be applied here, and why.
        """
        begun = self.begin(case)
        return begun if self.recipe is None else trained(case, begun, self.recipe)

    @classmethod
    def suits(cls, code: str) -> bool:
        """Tell whether it is for findings of this code."""
        return bool({code, family(code)} & set(cls.codes))


treatments: Registry[type[Treatment]] = Registry("treatment", "dnnrepair.repairing.treatments")
T = TypeVar("T", bound=type[Treatment])


def treatment(name: str, *codes: str, cost: Cost) -> Callable[[T], T]:
    """File a class as a treatment of findings with these codes or of these families."""

    def file(kind: T) -> T:
        kind.name, kind.codes, kind.cost = name, codes, cost
        treatments.file(name, kind)
        return kind

    return file


def suitable(code: str) -> list[type[Treatment]]:
    """Return the treatments of a finding, those that put least at risk first."""
    known = [treatments[name] for name in treatments if treatments[name].suits(code)]
    return sorted(known, key=lambda one: (one.cost, _specific(one, code), one.name))


def _specific(kind: type[Treatment], code: str) -> int:
    """Return how far its codes reach: one that is for few comes before one that is for many."""
    return len(kind.codes) + 10 * (code not in kind.codes)


def trained(case: Case, treated: Treated, recipe: Recipe) -> Treated:
    """Return the copy after a training.

    Raises:
        RecoveryError: it has nothing that can be trained.
    """
    lesson = replace(case.lesson, loss=treated.subject.facts.loss)  # a treatment may change it
    steps = max(case.lesson.train.size // recipe.batch_size, 1)
    epochs = recipe.epochs * max(STEPS_AN_EPOCH, steps) // steps
    limited = replace(recipe, epochs=epochs, seconds=case.seconds)
    draft = Draft.of(treated.subject.running)
    module = module_of(draft).to(treated.subject.device)
    found = case.teacher.teach(
        module, source_of(draft), lesson, limited, case.generator, case.progress
    )
    state = {name: value.to(treated.subject.device) for name, value in found.state.items()}
    return replace(
        treated,
        subject=with_state(treated.subject, state),
        done=(*treated.done, found.said),
        epochs=found.epochs,
        elsewhere=found.elsewhere,
        earlier=found.earlier,
    )


def operated(case: Case, operation: Operation, where: Where | None = None) -> Treated:
    """Return a copy on which one operation was carried out; by default where the findings are.

    Raises:
        DnnRepairError: the operation is not possible there.
    """
    found = operation.apply(case.subject, where or case.where, case.generator)
    return Treated(
        subject=found.subject,
        done=tuple(swap.summary for swap in found.swaps),
        swaps=found.swaps,
        structural=found.structural,
    )
