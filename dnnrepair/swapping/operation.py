"""What an operation is: it changes a draft of a network, says what it did, and is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from dnnrepair.bits import digest
from dnnrepair.errors import DataError
from dnnrepair.registry import Registry
from dnnrepair.swap_report import Promise
from dnnrepair.swapping.draft import Draft
from dnnrepair.swapping.graphs import check_graph, check_whole
from dnnrepair.swapping.measuring import difference, example_of, tolerance_of
from dnnrepair.swapping.source import module_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

    from dnnrepair.subject import Subject
    from dnnrepair.swap_report import Difference, Swap
    from dnnrepair.swapping.ranges import Ranged
    from dnnrepair.swapping.where import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What an operation did to a draft.

    Attributes:
        swaps: one for each kind of change, not measured yet.
        skipped: places where nothing was done, with reasons.
        reads: turns a batch of the first input into what the network takes from now on; None
            if that is the same.
        ranged: new activations that are of use in a range only.
    """

    swaps: tuple[Swap, ...]
    skipped: tuple[str, ...] = ()
    reads: Callable[[Tensor], Tensor] | None = None
    ranged: tuple[Ranged, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """What came of an operation.

    Attributes:
        subject: the network as it is now, with the same data; ready for the next operation.
        swaps: what was done, measured on the subject's data.
        skipped: what was not done, with reasons.
        structural: the graph, its names or its shapes changed, and not only numbers.
        reads: as of :class:`Edited`. The subject's data are still as they were.
        ranged: as of :class:`Edited`.
    """

    subject: Subject
    swaps: tuple[Swap, ...] = ()
    skipped: tuple[str, ...] = ()
    structural: bool = False
    reads: Callable[[Tensor], Tensor] | None = None
    ranged: tuple[Ranged, ...] = ()

    @property
    def module(self) -> nn.Module:
        """The network as a new module that can be trained, in evaluation mode.

        Parameters keep their names; batch norms and dropout follow its mode. It needs nothing of
        dnnrepair; see :func:`dnnrepair.swapping.source.source_of`.
        """
        return module_of(Draft.of(self.subject.running), self.about)

    @property
    def source(self) -> str:
        """The Python file of :attr:`module`'s class."""
        return source_of(Draft.of(self.subject.running), self.about)

    @property
    def about(self) -> tuple[str, ...]:
        """What the file says of itself."""
        first = f"The network {self.subject.facts.model}, changed by dnnrepair; needs torch only."
        return (first, *("",) * bool(self.swaps), *(f"- {swap.summary}" for swap in self.swaps))


class Operation(ABC):
    """Changes a network; its fields are its settings, its docstring explains it."""

    name: ClassVar[str]
    needs_data: ClassVar[bool] = False

    def apply(self, subject: Subject, where: Where, generator: torch.Generator) -> Swapped:
        """Return a changed copy of a network; the subject stays as it is.

        Args:
            subject: the network, with the data that the operation may look at.
            where: which layers and units.
            generator: of whatever is random.

        Raises:
            SettingError: no layer is meant, or one that cannot be changed.
            DataError: data are needed, and there are none.
            ModelError: the network is no graph, or its graph does not hold all of it.
        """
        if self.needs_data and subject.samples is None:
            message = f"{self.name} measures the layer's values: give data with --data"
            raise DataError(message)
        check_graph(subject)
        draft = Draft.of(subject.running)
        edited = self.edit(draft, subject, where, generator)
        if draft.structural:
            check_whole(subject)
        after = finished(subject, draft)
        found = difference(subject, after, edited.reads)
        together = any(swap.promise is not Promise.EXACT for swap in edited.swaps)
        limit = float("inf") if together else tolerance_of(subject)
        swaps = tuple(_measured(swap, found, limit) for swap in edited.swaps)
        return Swapped(
            subject=after,
            swaps=swaps,
            skipped=edited.skipped,
            structural=draft.structural,
            reads=edited.reads,
            ranged=edited.ranged,
        )

    @abstractmethod
    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Change the draft, which is one of the subject's program.

        Raises:
            DnnRepairError: if it cannot be done, and why; the draft may be half changed then.
        """


def finished(subject: Subject, draft: Draft) -> Subject:
    """Return the subject with the network that a draft has become."""
    draft.tidy()
    program = draft.program(example_of(subject))
    device = program.to(subject.device)
    names = [name for name in subject.state if name in device.tensors]
    names += [name for name in device.tensors if name not in subject.tensors]
    state = {name: device.tensors[name] for name in names}
    return replace(
        subject,
        program=device,
        tensors=device.tensors,
        infos=device.infos,
        state=state,
        digest=digest(state),
        stored={name: kind for name, kind in subject.stored.items() if name in state},
    )


def _measured(swap: Swap, found: Difference | None, limit: float) -> Swap:
    """Return a swap with what it changed; a promise that is not kept is taken back."""
    if swap.promise is Promise.EXACT and limit == float("inf"):
        return swap  # what was measured is mostly another's doing
    swap = replace(swap, difference=found)
    if swap.promise is not Promise.EXACT or found is None or found.relative <= limit:
        return swap
    reason = f"exact in theory, but outputs differ by {found.relative:.2g} (limit {limit:g})"
    return replace(swap, promise=Promise.CHANGES, reason=f"{swap.reason}; {reason}".strip("; "))


operations: Registry[type[Operation]] = Registry("operation", "dnnrepair.swapping.operations")
O = TypeVar("O", bound=type[Operation])  # noqa: E741 - as in the other registries, its initial


def operation(name: str) -> Callable[[O], O]:
    """File a class as an operation under its name."""

    def file(kind: O) -> O:
        kind.name = name
        operations.file(name, kind)
        return kind

    return file
