"""What a probe is: four protocols, one decorator.

A rule names the evidence it needs; :mod:`dnnrepair.observe` selects the probes that yield it and
serves all of them from one pass over the data. Heavy measurements look at the *sketch*, a uniform
sample of at most 512 inputs, so that their cost does not grow with the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch
    from torch import Tensor

    from dnnrepair.observation import Facts, TensorInfo
    from dnnrepair.program import Program
    from dnnrepair.sites import Site, Sites


class NotMeasuredError(Exception):
    """A probe could not measure here; the message is the reason shown to the user."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some samples, on the device of the program.

    Attributes:
        inputs: one tensor per input of the network, batch first.
        targets: labels ``(batch,)`` or ``(batch, tokens)``, or targets, or None.
        mask: True where a token counts, ``(batch, tokens)``; None if all count.
        start: index of the first sample in the data.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor | None = None
    mask: Tensor | None = None
    start: int = 0

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.inputs[0])


@dataclass(kw_only=True)
class Call:
    """One executed operation.

    Attributes:
        site: which operation.
        arguments: what it was called with, by argument name (``input``, ``weight``, ...).
        output: what it returned; the first tensor if it returned several.
        batch: the samples it was computed from.
    """

    site: Site
    arguments: Mapping[str, Any]
    output: Tensor
    batch: Batch

    @cached_property
    def rows(self) -> Tensor:
        """The output as ``(rows, units)``: a row per sample and position, padding left out."""
        return as_rows(self.output, self.site.unit_dim, self.batch.mask)


def as_rows(values: Tensor, unit_dim: int, mask: Tensor | None = None) -> Tensor:
    """Return ``values`` as ``(rows, units)``.

    ``mask`` is ``(batch, tokens)``; it is applied where ``values`` has these leading dimensions, in
    either order, and ignored elsewhere (a pooled value has no tokens).
    """
    moved = values.movedim(unit_dim, -1)
    if mask is not None and moved.dim() == mask.dim() + 1:
        if moved.shape[:-1] == mask.shape:
            return moved[mask]
        if moved.shape[:-1] == mask.mT.shape:
            return moved[mask.mT]
    return moved.reshape(-1, moved.shape[-1])


@dataclass(frozen=True, kw_only=True)
class Session:
    """The network on the table, for probes that run it themselves.

    Attributes:
        program: runs the network; its tensors must not be changed.
        batches: the sketch, at most 512 samples in batches of at most 128.
        facts: what is known of the subject.
        criterion: the loss of a prediction, a scalar tensor; None without labels.
        trainable: names of the parameters that ask for a gradient.
        seed: for probes that draw random numbers from a generator of their own.
    """

    program: Program
    batches: tuple[Batch, ...]
    facts: Facts
    criterion: Callable[[Tensor, Batch], Tensor] | None
    trainable: frozenset[str]
    seed: int = 0

    def loss(self) -> Callable[[Tensor, Batch], Tensor]:
        """Return the criterion, or say why there is none."""
        if self.criterion is None:
            message = "needs labels: give --data with labels"
            raise NotMeasuredError(message)
        return self.criterion

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a fresh generator with the session's seed."""
        import torch

        return torch.Generator(device).manual_seed(self.seed)


@runtime_checkable
class SiteProbe(Protocol):
    """Measures the output of operations while the data streams by; its evidence adds."""

    yields: ClassVar[type]
    sketch_only: ClassVar[bool]  # True: too costly for all samples, sees the sketch instead

    def watches(self, site: Site, sites: Sites) -> bool:
        """Tell whether this operation is to be measured."""
        ...

    def measure(self, call: Call) -> Any:  # noqa: ANN401 - the type that `yields` names
        """Return the evidence of one batch."""
        ...


@runtime_checkable
class PredictionProbe(Protocol):
    """Measures predictions against labels while the data streams by; its evidence adds."""

    yields: ClassVar[type]

    def measure_prediction(self, prediction: Tensor, batch: Batch, facts: Facts) -> Any:  # noqa: ANN401
        """Return the evidence of one batch; ``prediction`` is what the network returned."""
        ...


@runtime_checkable
class TensorProbe(Protocol):
    """Measures parameters and buffers; needs no data."""

    yields: ClassVar[type]

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> Any | None:  # noqa: ANN401
        """Return the evidence about one tensor, None where it has no meaning."""
        ...


@runtime_checkable
class SessionProbe(Protocol):
    """Runs the network on the sketch as it likes: gradients, repeats, ablations."""

    yields: ClassVar[type]

    def measure_session(self, session: Session) -> Iterator[tuple[str, Any]]:
        """Yield evidence by place (site name, tensor name, or "" for the whole network).

        Raises:
            NotMeasuredError: with the reason, where it cannot.
        """
        ...


Probe = SiteProbe | PredictionProbe | TensorProbe | SessionProbe

P = TypeVar("P", bound=Probe)

probes: Registry[type[Probe]] = Registry("probe", "dnnrepair.probes")


def probe(name: str) -> Callable[[type[P]], type[P]]:
    """Register a probe (a class without constructor arguments) under its name."""

    def file(cls: type[P]) -> type[P]:
        probes.file(name, cast("type[Probe]", cls))
        return cls

    return file
