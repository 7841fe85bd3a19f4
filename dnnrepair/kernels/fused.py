"""Tasks prepared for the device, and the launch of their kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.nn import functional as F

from dnnrepair.kernels.reference import UNIT
from dnnrepair.kernels.shape import CONV, Shape
from dnnrepair.kernels.tasks import Scores, check_changes, grouped

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.kernels.tasks import ConvTail, Head, Scoring, Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """What the inputs count, as the kernels read it.

    Attributes:
        labels: ``(N,)`` int32.
        weights: ``(S, N)`` float32.
        unit: what a whole number of the fitness stands for, float64 and without dimension, as
            ``(P,)`` int64 times it is float64.
    """

    labels: Tensor
    weights: Tensor
    unit: Tensor

    @classmethod
    def of(cls, scoring: Scoring) -> Points:
        """Bring labels and weights into form."""
        weights = scoring.weights.float().reshape(scoring.searches, -1)
        unit = torch.tensor(UNIT, dtype=torch.float64, device=weights.device)
        labels = scoring.labels.int().contiguous()
        return cls(labels=labels, weights=weights.contiguous(), unit=unit)

    def launch(
        self,
        program: Any,  # noqa: ANN401 - Triton's own kind of function
        changes: Tensor,
        given: Launch,
        *,
        verdicts: bool,
    ) -> Scores:
        """Run a scoring kernel on ``changes`` ``(P, k)``."""
        searches, inputs = self.weights.shape
        count, weights = len(changes), len(given.tensors[0])
        check_changes(changes, weights, searches)
        shape = given.shape or Shape.of(count, inputs, given.units)
        sums = torch.zeros(count, dtype=torch.int64, device=changes.device)
        size = (count, inputs) if verdicts else (1,)
        right = torch.empty(size, dtype=torch.uint8, device=changes.device)
        with torch.cuda.device_of(changes):
            program[(-(-inputs // shape.inputs), -(-count // shape.candidates))](
                changes.float().contiguous(),
                *given.tensors,
                *(self.labels, self.weights, sums, right),
                *(count, inputs, weights, given.rows, count // searches),
                **given.options,
                BP=shape.candidates,
                BN=shape.inputs,
                WRITE=verdicts,
                num_warps=shape.warps,
                enable_fp_fusion=False,
            )
        return Scores(sums * self.unit, right if verdicts else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a scoring kernel is given, beside points and changes.

    Attributes:
        tensors: its own, the columns first.
        rows: how many logits a program computes.
        units: values that each thread has to hold per pair, which bound the block.
        shape: the block, if it is prescribed.
        options: what is compiled in.
    """

    tensors: tuple[Tensor, ...]
    rows: int
    units: int
    shape: Shape | None
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FusedHead:
    """A :class:`Head` as one kernel.

    Classes that no candidate can change enter as one maximum and one sum of exponentials per
    input, so the work is O(k + u) per candidate and input whatever the number of classes.
    """

    backend: ClassVar[str] = "triton"
    points: Points
    given: Launch

    @classmethod
    def of(cls, task: Head, shape: Shape | None) -> FusedHead:
        """Sort the weights by class and fold the classes without one."""
        touched, unit_of = torch.unique(task.unit_of, return_inverse=True)
        groups = grouped(unit_of, len(touched))
        classes = touched.long()
        tensors = (
            task.columns[groups.order.long()].contiguous(),
            groups.order,
            groups.starts,
            touched.int(),
            task.base[classes].contiguous(),
            *_rest(task.base, classes),
            task.base.gather(0, task.scoring.labels.long()[None])[0],
        )
        given = Launch(tensors=tensors, rows=len(touched), units=8, shape=shape, options={})
        return cls(Points.of(task.scoring), given)

    def __call__(self, changes: Tensor, *, verdicts: bool = False) -> Scores:
        """Score candidates; see :class:`Evaluator`."""
        from dnnrepair.kernels import programs

        return self.points.launch(programs.head_program, changes, self.given, verdicts=verdicts)


@dataclass(frozen=True, slots=True)
class FusedTail:
    """A :class:`Tail` as one kernel, with units padded to a power of two."""

    backend: ClassVar[str] = "triton"
    points: Points
    given: Launch

    @classmethod
    def of(cls, task: Tail, shape: Shape | None) -> FusedTail:
        """Sort the weights by unit and add units that nothing touches."""
        units = 1 << (len(task.before) - 1).bit_length()
        groups = grouped(task.unit_of, units)
        tensors = (
            task.columns[groups.order.long()].contiguous(),
            groups.order,
            groups.starts,
            F.pad(task.before, (0, 0, 0, units - len(task.before))).contiguous(),
            F.pad(task.weight, (0, units - len(task.before))).contiguous(),
            task.base.contiguous(),
        )
        function = task.activation
        options = {"slope": float(function.slope), "NAME": function.name, "UNITS": units}
        given = Launch(
            tensors=tensors, rows=len(task.base), units=units, shape=shape, options=options
        )
        return cls(Points.of(task.scoring), given)

    def __call__(self, changes: Tensor, *, verdicts: bool = False) -> Scores:
        """Score candidates; see :class:`Evaluator`."""
        from dnnrepair.kernels import programs

        return self.points.launch(programs.tail_program, changes, self.given, verdicts=verdicts)


@dataclass(frozen=True, slots=True)
class FusedConv:
    """A :class:`ConvTail` as one matrix product whose left operand is never stored."""

    backend: ClassVar[str] = "triton"
    tensors: tuple[Tensor, ...]
    options: dict[str, Any]

    @classmethod
    def of(cls, task: ConvTail, precision: str) -> FusedConv:
        """Sort the weights by channel and fix the tile."""
        groups = grouped(task.unit_of, task.before.shape[1])
        weight = task.weight.bfloat16() if precision == "bf16" else task.weight
        width = 1 << (task.base.shape[1] - 1).bit_length()
        options = {
            "slope": float(task.activation.slope),
            "NAME": task.activation.name,
            "BP": CONV.candidates,
            "BN": CONV.inputs,
            "BK": CONV.space,
            "BH": max(16, min(CONV.columns, width)),
            "PRECISION": precision,
        }
        held = (task.planes, groups.order, groups.starts, task.before, weight, task.base)
        return cls(tuple(tensor.contiguous() for tensor in held), options)

    def __call__(self, changes: Tensor) -> Tensor:
        """Return what the Linear gives; see :class:`ConvEvaluator`."""
        from dnnrepair.kernels import convolution

        inputs, weights, _ = self.tensors[0].shape
        units, space, columns = self.tensors[4].shape
        count = len(changes)
        check_changes(changes, weights, 1)
        out = self.tensors[5].new_empty(count, inputs, columns)
        tiles = ((inputs, CONV.inputs), (count, CONV.candidates), (columns, self.options["BH"]))
        program: Any = convolution.conv_program
        with torch.cuda.device_of(changes):
            program[tuple(-(-size // tile) for size, tile in tiles)](
                changes.float().contiguous(),
                *self.tensors,
                out,
                *(count, inputs, weights, units, space, columns),
                **self.options,
                num_warps=CONV.warps,
            )
        return out


def _rest(base: Tensor, touched: Tensor) -> tuple[Tensor, Tensor]:
    """Return maximum and sum of exponentials below it over the other classes, ``(N,)`` each.

    NaN becomes the maximum. The sum is rounded from float64, so that it does not depend on the
    order in which a device adds.
    """
    rest = base.clone()
    rest[touched] = -torch.inf
    top = rest.amax(dim=0)
    total = (rest.double() - top).exp().nan_to_num(nan=0.0).sum(dim=0)
    return top, total.float()
