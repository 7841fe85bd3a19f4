"""Affine layers as surgeons see them: which side of the weight is which, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.sites import Site, Sites
    from dnnrepair.swapping.draft import Draft

_BIAS_PLACE = 2  # among the arguments of torch's linear and convolutions


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """An affine layer, and which dimension of its weight is which.

    Attributes:
        site: its only call.
        weight, bias: names of its tensors, "" if it has no bias.
        outputs, inputs: dimension of the weight that counts them; inputs are those of one group.
        groups: of a convolution.
    """

    site: Site
    weight: str
    bias: str
    outputs: int
    inputs: int
    groups: int = 1

    @classmethod
    def of(cls, site: Site, sites: Sites) -> Affine:
        """Return a site as an affine layer.

        Raises:
            SettingError: it is none, its weight is no plain tensor, or another call reads that.
        """
        if site.kind is not Kind.AFFINE:
            message = f"{site.layer or site.name} is {site.op}, no linear layer or convolution"
            raise SettingError(message)
        weight = site.tensors.get("weight", "")
        if not weight:
            message = f"the weight of {site.layer or site.name} is computed, and no parameter"
            raise SettingError(message)
        for name in filter(None, (weight, site.tensors.get("bias", ""))):
            if sum(name in other.tensors.values() for other in sites) > 1:
                message = f"{name} is read in several places; changing it would change all"
                raise SettingError(message)
        flipped = bool(site.settings.get("transposed")) or site.op.startswith("conv_transpose")
        return cls(
            site=site,
            weight=weight,
            bias=site.tensors.get("bias", ""),
            outputs=1 if flipped else 0,
            inputs=0 if flipped else 1,
            groups=int(site.setting("groups", 1)),
        )

    @property
    def input_dim(self) -> int:
        """The dimension of its input that counts what it reads."""
        return 1 if self.site.op.startswith("conv") else -1

    @property
    def pads(self) -> bool:
        """Whether it adds zeros around its input."""
        padding = self.site.settings.get("padding", 0)
        return padding not in (0, "valid") and (
            isinstance(padding, str) or any(padding if isinstance(padding, tuple) else (padding,))
        )

    def by_row(self, weight: Tensor) -> Tensor:
        """Return the weight, or a view of it, with outputs first, ``(outputs, inputs, ...)``."""
        return weight.movedim(self.outputs, 0)

    def by_column(self, weight: Tensor) -> Tensor:
        """Return the weight, or a view of it, with inputs first, ``(inputs, outputs, ...)``."""
        return weight.movedim(self.inputs, 0)

    def scaled_rows(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Return the weight with each output's part multiplied by a number, ``(outputs,)``."""
        rest = [1] * (weight.dim() - 1)
        return (self.by_row(weight) * scale.reshape(-1, *rest)).movedim(0, self.outputs)

    def summed(self, weight: Tensor, values: Tensor) -> Tensor:
        """Return what constant inputs ``(inputs,)`` add to each output, ``(outputs,)``."""
        columns = self.by_column(weight.double())
        flat = columns.reshape(len(columns), -1) if columns.dim() < 3 else columns.flatten(2).sum(2)  # noqa: PLR2004
        found: Tensor = values.double() @ flat
        return found

    def shift(self, draft: Draft, amount: Tensor) -> None:
        """Add constants ``(outputs,)`` to what it gives; it gets a bias if it has none."""
        if not bool(amount.any()):
            return
        if self.bias:
            draft.change(self.bias, draft.tensors[self.bias].double() + amount)
            return
        weight = draft.tensors[self.weight]
        name = f"{self.site.layer.partition('#')[0]}.bias".lstrip(".")
        name = name if name not in draft.tensors else f"{draft.fresh(name)}.bias"
        added = draft.add(name, amount.to(weight.dtype))
        node = draft.node(self.site.name)
        if "bias" in {a.name for a in node.target._schema.arguments}:  # type: ignore[union-attr]  # noqa: SLF001
            args = [*node.args, *[None] * (_BIAS_PLACE + 1 - len(node.args))]
            args[_BIAS_PLACE] = added
            node.args = tuple(args)
        else:
            summed = draft.call(torch.ops.aten.add.Tensor, node, added, like=node)
            draft.reroute(node, summed)


def check_plain(draft: Draft, *names: str) -> None:
    """Refuse tensors that hold no floating-point numbers.

    Raises:
        SettingError: one of them is quantized.
    """
    for name in names:
        if name and not draft.tensors[name].is_floating_point():
            message = f"{name} holds integers (a quantized layer); change it before it is quantized"
            raise SettingError(message)
