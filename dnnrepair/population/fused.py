"""Fused kernels where the suffix is one they know: a patched head, tail or convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair import kernels
from dnnrepair.fitness.arachne import Arachne
from dnnrepair.fitness.fitness import SCALE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.blocks import Block
    from dnnrepair.population.operations.patching import Layout
    from dnnrepair.population.scores import Judge
    from dnnrepair.population.step import Step
    from dnnrepair.population.suffix import Suffix

PREDICTION = "prediction"  # under this key a frame keeps that of the unpatched network
TOLERANCE = 1e-3  # of a fitness; where rounding decides a verdict, kernels may differ rightly
PASSING = frozenset({"dropout", "contiguous", "clone", "detach", "alias", "identity"})
_SLOPES = {"leaky_relu": ("negative_slope", 0.01), "elu": ("alpha", 1.0)}


def fused_blocks(
    suffix: Suffix, judge: Judge, blocks: Sequence[Block], *, force: bool | None
) -> list[kernels.Evaluator] | None:
    """Return an evaluator of fused kernels for each block, None where they do not apply.

    Args:
        suffix: what the patch can change.
        judge: turns predictions into fitness; the kernels know Arachne's.
        blocks: the inputs.
        force: False for never, True for wherever the suffix is one that the kernels know, None for
            only where they run fused.
    """
    if not runs_fused(suffix.originals, force):
        return None
    known = judge.by_class and type(judge.fitness) is Arachne
    pattern = _Pattern.of(suffix) if known else None
    plain = bool(blocks) and all(block.targets.dim() == 1 and not block.away for block in blocks)
    if pattern is None or not plain:
        return None
    found = [pattern.evaluator(suffix, block) for block in blocks]
    return None if any(one is None for one in found) else [one for one in found if one]


def runs_fused(originals: Tensor, force: bool | None) -> bool:  # noqa: FBT001 - three-valued
    """Tell whether fused kernels are to be used for these weights; see :func:`fused_blocks`."""
    if originals.dtype != torch.float32 or force is False:
        return False
    return bool(force) or (originals.is_cuda and not kernels.available())


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A patched linear layer, alone or with an activation and the last linear layer behind it.

    Attributes:
        patched: the patched layer.
        activation: None for a head.
        last: the layer behind, None for a head.
    """

    patched: Step
    activation: kernels.Activation | None = None
    last: Step | None = None

    @classmethod
    def of(cls, suffix: Suffix) -> _Pattern | None:
        """Return what the suffix is, None if something else."""
        steps = [step for step in suffix.steps if step.op not in PASSING]
        if any(step.overwrites or step.writers for step in steps):
            return None
        ops = [step.op for step in steps]
        if ops == ["linear"]:
            return cls(steps[0])
        if len(ops) != 3 or (ops[0], ops[2]) != ("linear", "linear"):  # noqa: PLR2004 - as it says
            return None
        patched = suffix.places.tensors
        names = suffix.program.tensor_of_node
        if any(names.get(source.name) in patched for source in steps[2].node.all_input_nodes):
            return None
        activation = activation_of(steps[1])
        return None if activation is None else cls(steps[0], activation, steps[2])

    def evaluator(self, suffix: Suffix, block: Block) -> kernels.Evaluator | None:
        """Return the evaluator for a block, None if its values are no matrices."""
        kept, constants = block.frame.kept, suffix.constants.kept
        base = kept[PREDICTION]
        if base.dim() != 2 or base.shape[1] < 2:  # noqa: PLR2004 - (n, C)
            return None
        layout: Layout = constants[self.patched.node.name, "layout"]
        columns = columns_of(self.patched, layout, kept)
        weights = (block.weights[0] / SCALE).to(torch.float32)
        scoring = kernels.Scoring(block.targets.int(), weights)
        common: dict[str, Any] = {
            "columns": columns,
            "base": base.t().contiguous(),
            "scoring": scoring,
        }
        slots = layout.slots.to(base.device)
        if self.last is None or self.activation is None:
            units = torch.tensor(layout.units, device=slots.device)
            return kernels.head(kernels.Head(unit_of=units[slots].int(), **common))
        before = kept[self.patched.node.name, (layout.units, 1, 1)]
        weight = constants[self.last.node.name, ("columns", layout.units, 1)]
        return kernels.tail(
            kernels.Tail(
                unit_of=slots.int(),
                before=before,
                weight=weight,
                activation=self.activation,
                **common,
            )
        )


def columns_of(step: Step, layout: Layout, kept: dict[Any, Any]) -> Tensor:
    """Return what each patched weight is multiplied with, ``(k, n)``, in the order of values."""
    source = step.named["input"].name
    name, units = step.node.name, layout.units
    planes = [kept[source, (name, units, rank)] for rank in range(len(layout.ranks))]
    order = torch.tensor([column for rank in layout.columns for column in rank])
    joined = torch.cat(planes)
    return joined[order.argsort().to(joined.device)].contiguous()


def activation_of(step: Step) -> kernels.Activation | None:
    """Return the activation of a step as the kernels know it, None if they do not."""
    name, named = step.op, step.named
    if name == "gelu" and named.get("approximate", "none") == "tanh":
        return kernels.Activation("gelu_tanh")
    if name == "elu" and (named.get("scale", 1), named.get("input_scale", 1)) != (1, 1):
        return None
    if name not in ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu"):
        return None
    setting, default = _SLOPES.get(name, ("", 1.0))
    return kernels.Activation(name, float(named.get(setting, default)))
