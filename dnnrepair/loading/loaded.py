"""The network as it came out of its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn
    from torch.export import ExportedProgram


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A network as it came out of its file, in the fullest form that the file allows.

    Attributes:
        name: as the user named it.
        form: how it came: "state dict", "safetensors", "TorchScript", "pt2", "pickled module",
            "Hugging Face", "timm", "reference network" or "live module".
        state: all parameters and buffers, wrappers' prefixes (``module.``) stripped.
        module: the eager module in evaluation mode with its weights, if the architecture is known.
        script: the TorchScript module, if the file was one.
        exported: the exported program, if the file was one.
        buffers: names in ``state`` that are no parameters.
        trainable: names of the parameters that ask for a gradient; None if unknown.
        notes: what the user should know about how it was obtained.
        stored: types in which the file holds tensors that the architecture has in others.
    """

    name: str
    form: str
    state: Mapping[str, Tensor]
    module: nn.Module | None = None
    script: torch.jit.ScriptModule | None = None
    exported: ExportedProgram | None = None
    buffers: frozenset[str] = field(default_factory=frozenset)
    trainable: frozenset[str] | None = None
    notes: tuple[str, ...] = ()
    stored: Mapping[str, torch.dtype] = field(default_factory=dict)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters and buffers by name, one that has two names by its first."""
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: value.detach() for name, value in named.items()}


def of_module(module: nn.Module, name: str, form: str, notes: tuple[str, ...] = ()) -> Loaded:
    """Return a module that came out of a file, put into evaluation mode."""
    if any(part.training for part in module.modules()) and form == "pickled module":
        notes = (*notes, "the network was saved in training mode; examined in evaluation mode")
    module.eval()
    parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    return Loaded(
        name=name,
        form=form,
        state=tensors_of(module),
        module=module,
        buffers=frozenset(buffers),
        trainable=frozenset(key for key, value in parameters.items() if value.requires_grad),
        notes=notes,
    )
