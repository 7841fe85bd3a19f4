"""The network in training as a subject: exported once, its tensors those that are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dnnrepair.data import ArraySamples
from dnnrepair.errors import DnnRepairError
from dnnrepair.live import LiveProgram
from dnnrepair.monitor.calls import positional
from dnnrepair.request import Request
from dnnrepair.subject import assemble, loaded_module
from dnnrepair.tensors import device_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dnnrepair.monitor.calls import Form
    from dnnrepair.probe import Batch
    from dnnrepair.subject import Subject

EXAMPLES = 4  # samples with which the network is exported
DATA = "training batches"


@dataclass(frozen=True, kw_only=True)
class Table:
    """How the network is put on the table.

    Attributes:
        network: that is trained.
        name: under which to show it.
        task, loss: as the user gave them.
        notes: on the network and its optimizer.
    """

    network: nn.Module
    name: str
    task: str | None = None
    loss: str | None = None
    notes: tuple[str, ...] = ()

    def subject(self, batch: Batch | None, form: Form | None, obstacle: str) -> Subject:
        """Return the subject, of weights only where no batch was seen or none can be run.

        Args:
            batch: a training batch.
            form: how the network is called with it.
            obstacle: why there is no batch, "" if none came by.
        """
        if batch is None or form is None:
            reason = obstacle or (
                "no forward pass of the model in training mode was seen; give the monitor the very "
                "module that is called, or pass inputs on with m.loss(loss, targets, inputs)"
            )
            return self._weights(f"only weights, gradients and losses are judged: {reason}")
        try:
            return self._running(batch, form)
        except Exception as error:  # noqa: BLE001 - whatever fails here must not end the training
            first = str(error).strip().partition("\n")[0][:200]
            reason = (
                first if isinstance(error, DnnRepairError) else f"{type(error).__name__}: {first}"
            )
            return self._weights(
                "only weights, gradients and losses are judged: the network cannot be run on a "
                f"training batch ({reason})"
            )

    def live(self, subject: Subject, batch: Batch, form: Form) -> Subject:
        """Return a subject that runs the module itself, whatever the shape of its input.

        Raises:
            Exception: whatever the module raises.
        """
        program = LiveProgram.of(positional(self.network, form), _cut(batch).inputs)
        note = "inputs vary in shape; watching the live module"
        return replace(
            subject,
            program=program,
            tensors=program.tensors,
            infos=program.infos,
            facts=replace(subject.facts, mode=program.mode),
            notes=tuple(dict.fromkeys((*subject.notes, note))),
        )

    def _running(self, batch: Batch, form: Form) -> Subject:
        network = positional(self.network, form)
        example = _cut(batch)
        samples = ArraySamples(example.inputs, example.targets, DATA)
        loaded = loaded_module(network, self.name, "module in training")
        return self._noted(assemble(loaded, samples, self._request()))

    def _weights(self, note: str) -> Subject:
        loaded = loaded_module(self.network, self.name, "module in training")
        subject = assemble(loaded, None, self._request())
        return self._noted(replace(subject, notes=(note,)))

    def _noted(self, subject: Subject) -> Subject:
        return replace(subject, notes=(*self.notes, *subject.notes))

    def _request(self) -> Request:
        device = device_of(self.network.parameters())
        return Request(model=self.name, device=str(device), task=self.task, loss=self.loss)


def refreshed(subject: Subject, network: nn.Module) -> Subject:
    """Return the subject with the network's present tensors, should it hold others by now."""
    now: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    values: dict[str, Any] = {n: v.detach() for n, v in now.items() if n in subject.tensors}
    if subject.program is None:
        return replace(subject, tensors={**subject.tensors, **values})
    program = subject.program.with_tensors(values)
    return replace(subject, program=program, tensors=program.tensors)


def _cut(batch: Batch) -> Batch:
    targets = None if batch.targets is None else batch.targets[:EXAMPLES]
    mask = None if batch.mask is None else batch.mask[:EXAMPLES]
    return replace(
        batch, inputs=tuple(x[:EXAMPLES] for x in batch.inputs), targets=targets, mask=mask
    )
