"""A network that cannot be exported, watched while it runs (``TorchFunctionMode``)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.listening import Recorder, Watcher, names_of
from dnnrepair.outputs import prediction_of
from dnnrepair.sites import Site, Sites
from dnnrepair.tensors import describe, device_of, each_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from dnnrepair.listening import Key
    from dnnrepair.observation import TensorInfo
    from dnnrepair.program import Watch


@dataclass(frozen=True)
class LiveProgram:
    """A program over an eager module; its sites are those that one example run passed through.

    Attributes:
        module: the network; never changed, run through ``torch.func.functional_call``.
        found: the sites of the example run, by what identifies them in later runs.
        output: name of the site whose value is the prediction.
    """

    module: nn.Module
    tensors: Mapping[str, Tensor]
    found: Mapping[Key, Site]
    output: str | None
    mode: str = "live"
    batch_size: int | None = None

    @classmethod
    def of(cls, module: nn.Module, example: Sequence[Tensor]) -> LiveProgram:
        """Run the module once on an example and note every operation."""
        state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        tensors = {name: value.detach() for name, value in state.items()}
        recorder = Recorder(names_of(tensors))
        for place, value in enumerate(example):
            recorder.note_input(f"input_{place}", value)
        with torch.no_grad(), torch.random.fork_rng(devices=[]), recorder:
            result = prediction_of(_call(module, tensors, example, training=False))
        output = recorder.site_of.get(id(result))
        return cls(module, tensors, recorder.sites, output)

    @property
    def sites(self) -> Sites:
        """The operations, in the order of the example run."""
        return self._sites

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """What each tensor is, by name."""
        return self._infos

    @cached_property
    def _sites(self) -> Sites:
        return Sites(tuple(self.found.values()), output=self.output)

    @cached_property
    def _infos(self) -> dict[str, TensorInfo]:
        buffers = {name for name, _ in self.module.named_buffers()}
        trainable = {name for name, p in self.module.named_parameters() if p.requires_grad}
        return describe(self.tensors, self.sites, buffers, trainable)

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return device_of(self.tensors.values())

    def reads(self, *names: str) -> bool:
        """Tell whether some operation of the example run reads one of these tensors."""
        return any(self.infos[name].used for name in names)

    def to(self, device: torch.device | str) -> LiveProgram:
        """Return the same program with its tensors on a device."""
        return replace(self, tensors=each_once(lambda t: t.to(device), self.tensors))

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> LiveProgram:
        """Return the same network with other values for some of its tensors."""
        return replace(self, tensors={**self.tensors, **tensors})

    def run(
        self,
        inputs: Sequence[Tensor],
        *,
        tensors: Mapping[str, Tensor] | None = None,
        watch: Watch | None = None,
        training: bool = False,
    ) -> Tensor:
        """Return the prediction for a batch; see :meth:`dnnrepair.program.Program.run`."""
        values = {**self.tensors, **(tensors or {})}
        if watch is None:
            return prediction_of(_call(self.module, values, inputs, training=training))
        watched = [
            watch(self.found[key], {}, x) for key, x in zip(self.found, inputs, strict=False)
        ]
        inputs = [x if w is None else w for x, w in zip(inputs, watched, strict=False)]
        with Watcher(names_of(values), self.found, watch):
            return prediction_of(_call(self.module, values, inputs, training=training))


def _call(
    module: nn.Module, tensors: Mapping[str, Tensor], inputs: Sequence[Tensor], *, training: bool
) -> Any:  # noqa: ANN401 - whatever the network returns
    buffers = {name for name, _ in module.named_buffers()}
    values = {n: t.clone() if n in buffers and training else t for n, t in tensors.items()}
    with in_mode(module, training=training):
        return torch.func.functional_call(module, values, tuple(inputs))


@contextmanager
def in_mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a module into a mode, and afterwards every submodule back as it was."""
    modes = {part: part.training for part in module.modules()}
    module.train(training)
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
