"""A patched convolution, its activation and the linear layer behind it as one fused kernel.

The kernel makes the convolution's changed channels while it multiplies them, so they are never
written to memory, which is what limits this case on a GPU.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair import kernels
from dnnrepair.kernels import differing
from dnnrepair.kernels.reference import ConvReference, activation
from dnnrepair.population.fused import PASSING, activation_of, columns_of
from dnnrepair.population.values import Dense

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dnnrepair.kernels import Activation
    from dnnrepair.population.frame import Chunk, Frame
    from dnnrepair.population.operations.patching import Layout
    from dnnrepair.population.places import Places
    from dnnrepair.population.step import Step
    from dnnrepair.program import GraphProgram

_TOLERANCE = 0.02  # of the largest output; bfloat16 rounds the change by up to 2**-8
_FLATTENING = frozenset({"flatten", "view", "reshape"})


@dataclass(frozen=True, slots=True)
class Opening:
    """The first steps of a suffix, done at once.

    Attributes:
        length: how many steps these are.
        convolution: the first.
        activation: between.
        linear: the last.
        precision: of the products; see :func:`dnnrepair.kernels.conv_tail`.
    """

    length: int
    convolution: Step
    activation: Activation
    linear: Step
    precision: str = "ieee"

    @classmethod
    def of(cls, steps: Sequence[Step], places: Places, program: GraphProgram) -> Opening | None:
        """Return the opening of a suffix, None if it begins otherwise."""
        end = next((i for i, step in enumerate(steps) if step.op == "linear"), None)
        if end is None or not steps[0].op.startswith("conv") or _is_branched(steps[: end + 1]):
            return None
        patched = {n for n, tensor in program.tensor_of_node.items() if tensor in places.tensors}
        if any(
            patched & {s.name for s in step.node.all_input_nodes} for step in steps[1 : end + 1]
        ):
            return None
        between = [step for step in steps[1:end] if step.op not in PASSING]
        if not between or between[-1].op not in _FLATTENING or len(between) > 2:  # noqa: PLR2004
            return None
        found = activation_of(between[0]) if len(between) > 1 else kernels.Activation("identity")
        return None if found is None else cls(end + 1, steps[0], found, steps[end])

    def run(self, frame: Frame, chunk: Chunk) -> Dense | None:
        """Return the linear layer's output ``(p, n, H)``, None where the shapes do not fit."""
        ready = frame.recall((self.linear.node.name, "fused"), lambda: self._prepare(frame))
        if ready is None:
            return None
        layout: Layout = frame.constants.kept[self.convolution.node.name, "layout"]
        return Dense(ready(chunk.change[:, frame.constants.index(layout.order)]))

    def _prepare(self, frame: Frame) -> kernels.ConvEvaluator | None:
        kept, constants = frame.kept, frame.constants.kept
        layout: Layout = constants[self.convolution.node.name, "layout"]
        columns = _columns(constants, self.linear.node.name, layout.units)
        if columns is None:
            return None
        weight = columns.movedim(1, 2).contiguous()  # (u, s, H)
        before = kept[self.convolution.node.name, (layout.units, 1, 1)].flatten(2)  # (u, n, s)
        others = kept[self.linear.node.name, "of other units"]  # (n, H)
        slots = layout.slots.int().to(before.device)
        planes = columns_of(self.convolution, layout, kept).flatten(2)  # (k, n, s)
        blank = kernels.ConvTail(
            planes=planes.movedim(1, 0).contiguous(),
            unit_of=slots,
            before=before.movedim(1, 0).contiguous(),
            weight=weight,
            base=torch.zeros_like(others),
            activation=self.activation,
        )
        base = others + _of_units(blank, before.movedim(1, 0))
        task = replace(blank, base=base.contiguous())
        ready = kernels.conv_tail(task, precision=self.precision)
        key = (self.linear.node.name, "trust", self.precision)
        return ready if frame.constants.get(key, lambda: _trusted(ready, task)) else None


def _trusted(kernel: kernels.ConvEvaluator, task: kernels.ConvTail) -> bool:
    """Compare a kernel once with plain torch, and say so if it is not to be used."""
    changes = torch.linspace(-1, 1, len(task.unit_of), device=task.base.device).view(1, -1)
    reason = differing(
        lambda: [kernel(changes)], lambda: [ConvReference(task)(changes)], _TOLERANCE
    )
    if reason:
        warnings.warn(f"evaluating without the fused convolution: {reason}", stacklevel=2)
    return not reason


def _of_units(task: kernels.ConvTail, before: Tensor) -> Tensor:
    """Return what the units contribute to the unpatched output, ``(n, H)``."""
    active = activation(task.activation)(before)
    return active.flatten(1) @ task.weight.flatten(0, 1)


def _is_branched(steps: Sequence[Step]) -> bool:
    """Tell whether some value but the last is read by another step, or overwritten."""
    return any(len(step.node.users) > 1 or step.overwrites or step.writers for step in steps[:-1])


def _columns(kept: Mapping[Any, Any], name: str, units: tuple[int, ...]) -> Tensor | None:
    """Return the linear layer's columns of the changed channels, ``(u, H, s)``."""
    for key, value in kept.items():
        if isinstance(key, tuple) and key[0] == name and key[1][:2] == ("columns", units):
            found: Tensor = value
            return found if found.dim() == 3 else None  # noqa: PLR2004 - channels with positions
    return None
