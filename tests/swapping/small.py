"""Small networks with data, and operations by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dnnrepair.models import build
from dnnrepair.subject import Subject, subject_of
from dnnrepair.swapping.operation import Swapped, operations
from dnnrepair.swapping.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = 48


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def jolted(module: nn.Module) -> nn.Module:
    """Move all that a fresh network has at 0 or 1 to other values."""
    generator = rng(1)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.dim() == 1 and value.is_floating_point() and not name.endswith("_var"):
                value.add_(0.1 * torch.randn(value.shape, generator=generator).to(value))
            elif name.endswith("running_var"):
                value.mul_(0.5 + torch.rand(value.shape, generator=generator).to(value))
    return module


@cache
def reference(name: str, dtype: torch.dtype = torch.float32) -> Subject:
    """Return a fresh reference network with 48 inputs."""
    built = build(f"{name}:init")
    inputs = tuple(
        x[:COUNT].to(dtype) if x.is_floating_point() else x[:COUNT] for x in built.inputs
    )
    targets = None if built.task == "generate" else built.targets
    data: Any = inputs[0] if targets is None else (*inputs, targets[:COUNT])
    return subject_of(
        jolted(built.module).to(dtype), data, task=built.task, loss=built.loss or None, name=name
    )


def applied(
    subject: Subject, name: str, where: str | Where = "*", seed: int = 0, **settings: Any
) -> Swapped:
    """Apply an operation by name."""
    place = where if isinstance(where, Where) else Where(layers=(where,))
    return operations[name](**settings).apply(subject, place, rng(seed))


def answer(subject: Subject, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return subject.running.run(inputs)


def module_answer(swapped: Swapped, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = swapped.module(*inputs)
    return found


def network(layers: Sequence[nn.Module], count: int = 256, width: int = 6) -> Subject:
    """Return a chain of layers with Gaussian inputs and labels in 3 classes."""
    generator = rng(2)
    module = nn.Sequential(*layers)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(
                torch.randn(value.shape, generator=generator) / max(1, value[0].numel()) ** 0.5
            )
    x = torch.randn(count, width, generator=generator)
    return subject_of(module, (x, torch.arange(count) % 3), name="net")


def inputs_of(subject: Subject) -> Tensor:
    assert subject.samples is not None
    return subject.samples.example(10_000).inputs[0]
