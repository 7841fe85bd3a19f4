"""The model on the table: the network, its data, and what is known of both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.bits import digest
from dnnrepair.data import (
    ArraySamples,
    Samples,
    gaussian,
    open_data,
    samples_of,
)
from dnnrepair.errors import DataError, ModelError, SettingError
from dnnrepair.export import to_program
from dnnrepair.facts import facts_of
from dnnrepair.loading import Loaded, load, tensors_of
from dnnrepair.request import Request
from dnnrepair.tensors import describe, device_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from dnnrepair.models.reference import Reference
    from dnnrepair.observation import Facts, TensorInfo
    from dnnrepair.probe import Batch
    from dnnrepair.program import Program

EXAMPLES = 4  # samples with which a network is exported; at least 2 keep the batch size free
PROBE_SAMPLES = 1024  # synthetic inputs of --probe gaussian
_DIGITS = "embedded digits"  # the data of the reference networks


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network ready to be observed.

    Attributes:
        program: runs it; None if only its weights are known.
        samples: its data; None if there are none.
        tensors, infos: its parameters and buffers, and what each is.
        state: those that its file holds, of which the digest is and a patch is made; a program may
            have tensors besides, and two names for one.
        facts: what is known of it.
        form: how it came.
        digest: of its tensors.
        device: where it runs.
        notes: what the user should know about how it was obtained.
        stored: types in which its file holds tensors of the state, where they are others.
        training: what it was trained on, where that is known besides the data.
    """

    program: Program | None
    samples: Samples | None
    tensors: Mapping[str, Tensor]
    infos: Mapping[str, TensorInfo]
    facts: Facts
    form: str
    digest: str
    device: torch.device
    state: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stored: Mapping[str, torch.dtype] = field(default_factory=dict)
    training: Samples | None = None

    @property
    def running(self) -> Program:
        """The program.

        Raises:
            ModelError: if only weights are known.
        """
        if self.program is None:
            message = "only weights are known, not the network; name its factory with --arch"
            raise ModelError(message)
        return self.program


def open_subject(request: Request, samples: Samples | None = None) -> Subject:
    """Load the network and its data, and bring them together.

    Args:
        request: what the user named.
        samples: data that are there already, in place of those that the request names.

    Raises:
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    own, training = None, None
    if request.model.startswith("models:"):
        loaded, own, training, request = _reference(request)
    else:
        loaded = load(request.model, arch=request.arch, trust_pickle=request.trust_pickle)
    if samples is None and request.data is not None:
        samples = open_data(request.data, request.data_options)
    elif samples is None and request.probe is not None:
        samples = _synthetic(request)
    if samples is not None:
        return assemble(loaded, samples, request)
    return replace(assemble(loaded, own, request), training=training)


def subject_of(
    module: nn.Module,
    data: Any,  # noqa: ANN401 - see dnnrepair.data.samples_of
    *,
    task: str | None = None,
    loss: str | None = None,
    name: str | None = None,
) -> Subject:
    """Put a live module and its data on the table; the module is left exactly as found."""
    samples = samples_of(data)
    loaded = loaded_module(module, name or type(module).__name__)
    request = Request(
        model=loaded.name, device=str(device_of(module.parameters())), task=task, loss=loss
    )
    return assemble(loaded, samples, request)


def subject_of_reference(reference: Reference, program: Program | None = None) -> Subject:
    """Put a reference network on the table.

    Args:
        reference: the network with its data.
        program: of the same structure, exported before; its tensors are replaced by the network's.
    """
    loaded = loaded_module(reference.module, f"models:{reference.name}", "reference network")
    samples = ArraySamples(reference.inputs, reference.targets, _DIGITS)
    request = Request(model=loaded.name, task=reference.task, loss=reference.loss or None)
    if program is None:
        return assemble(loaded, samples, request)
    own = {name: value for name, value in loaded.state.items() if name in program.tensors}
    return assemble(loaded, samples, request, program=program.with_tensors(own))


def loaded_module(module: nn.Module, name: str, form: str = "live module") -> Loaded:
    """Return a live module in the form in which files arrive."""
    return Loaded(
        name=name,
        form=form,
        state=tensors_of(module),
        module=module,
        buffers=frozenset(key for key, _ in module.named_buffers()),
        trainable=frozenset(key for key, p in module.named_parameters() if p.requires_grad),
    )


def assemble(
    loaded: Loaded,
    samples: Samples | None,
    request: Request,
    *,
    program: Program | None = None,
) -> Subject:
    """Bring a network and its data together.

    Args:
        loaded: the network.
        samples: its data, if any.
        request: device, task and loss as the user gave them.
        program: of the network, if there is one already.
    """
    example = samples.example(EXAMPLES) if samples else None
    program, notes = (program, ()) if program else _program(loaded, example, request)
    tensors = program.tensors if program else loaded.state
    trainable = loaded.trainable
    if trainable is None:
        trainable = frozenset(tensors) - loaded.buffers
    infos = program.infos if program else describe(tensors, None, loaded.buffers, trainable)
    device = _device(request.device)
    if program is not None:
        program = program.to(device)
        tensors = program.tensors
    return Subject(
        program=program,
        samples=samples,
        tensors=tensors,
        infos=infos,
        facts=facts_of(program, samples, example, request),
        form=loaded.form,
        digest=digest(loaded.state),
        device=device,
        state=loaded.state,
        notes=(*loaded.notes, *notes, *(samples.notes if samples else ())),
        stored=loaded.stored,
    )


def _program(
    loaded: Loaded, example: Batch | None, request: Request
) -> tuple[Program | None, tuple[str, ...]]:
    runnable = loaded.module or loaded.script or loaded.exported
    if runnable is None:
        return None, ()
    if example is not None:
        inputs = tuple(_at_least_two(x) for x in example.inputs)
    elif request.input_shape is not None:
        inputs = (torch.zeros(EXAMPLES, *request.input_shape),)
    elif loaded.exported is not None:
        inputs = ()
    else:
        return None, ("no data and no --input-shape: only the weights were examined",)
    there = device_of(loaded.state.values())
    return to_program(loaded, tuple(x.to(there) for x in inputs))


def _at_least_two(values: Tensor) -> Tensor:
    return values if len(values) > 1 else torch.cat([values, values])


def _reference(request: Request) -> tuple[Loaded, Samples, Samples | None, Request]:
    """Return a reference network, its data, what trained it, and the request with task and loss."""
    from dnnrepair.models import build

    reference = build(request.model.removeprefix("models:"), seed=request.seed)
    loaded = loaded_module(reference.module, request.model, "reference network")
    samples = ArraySamples(reference.inputs, reference.targets, _DIGITS)
    split = reference.split()
    training = None
    if split is not None and reference.task != "generate":  # noise has no labels
        training = ArraySamples((split.train_inputs,), split.train_targets, _DIGITS)
    task, loss = request.task or reference.task, request.loss or reference.loss or None
    return loaded, samples, training, replace(request, task=task, loss=loss)


def _synthetic(request: Request) -> Samples:
    if request.probe != "gaussian":
        message = f"no probe input is called {request.probe!r}; known: gaussian"
        raise SettingError(message)
    if request.input_shape is None:
        message = "--probe gaussian needs the shape of one sample: --input-shape 3,32,32"
        raise DataError(message)
    return gaussian(request.input_shape, PROBE_SAMPLES, request.seed)


def _device(name: str) -> torch.device:
    try:
        return torch.empty(1, device=name).device  # with its number
    except (RuntimeError, AssertionError) as error:
        message = f"device {name!r} cannot be used: {str(error).splitlines()[0]}"
        raise SettingError(message) from error
