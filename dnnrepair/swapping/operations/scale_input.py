"""Inputs scaled inside the network, before the first affine layer, and compensated for there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine, check_plain
from dnnrepair.swapping.inline import kind_of
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.spread import inputs
from dnnrepair.swapping.where import EVERYWHERE, allowed, listed

if TYPE_CHECKING:
    from torch import Tensor, fx

    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.spread import Spread
    from dnnrepair.swapping.where import Where

_PRODUCT = 2  # dimensions of a linear layer's weight
_LEAST = 1e-6  # deviation, as a share of the largest one, that is divided by
_RESULTS = {"standard": "mean 0 and deviation 1", "min-max": "the range from 0 to 1"}


@operation("scale-input")
@dataclass(frozen=True, kw_only=True)
class ScaleInput(Operation):
    """What the first affine layer reads is scaled, for each feature or channel.

    ``(x - m) / c`` goes in front of the layer, with m and c of the data: mean and deviation, or
    with ``min-max`` the least and the span, for values in [0, 1]. The layer becomes W' = W diag(c),
    b' = b + W m: the same function of the same input, which trains better. A convolution's zeros
    are put around its input before that is scaled, so that borders stay exact. Features that hardly
    vary are only centered.
    """

    needs_data = True
    kind: str = "standard"  # or min-max

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Insert the scaling; see :meth:`Operation.edit`."""
        del generator
        if self.kind not in _RESULTS:
            message = f"no scaling is called {self.kind!r}; known: {', '.join(_RESULTS)}"
            raise SettingError(message)
        sites = subject.running.sites
        first = _first(sites) if where.layers == (EVERYWHERE,) else None
        chosen = where.choose(
            sites,
            lambda s: s.kind is Kind.AFFINE and (first is None or s.name in first),
            "affine layers that read the input" if first is not None else "affine layers",
        )
        kept, skipped = allowed(subject, chosen, where)
        layers = [Affine.of(site, sites) for site in kept]
        seen = inputs(subject, layers)
        for layer in layers:
            _scale(draft, layer, *self._fitted(seen[layer.site.name]))
        names = tuple(dict.fromkeys(site.layer for site in kept))
        swap = Swap(
            operation=self.name,
            layers=names,
            summary=f"what {listed(names)} reads is brought to {_RESULTS[self.kind]} first",
            settings=(f"kind = {self.kind}",),
            promise=Promise.EXACT,
        )
        return Edited(swaps=(swap,), skipped=skipped)

    def _fitted(self, seen: Spread) -> tuple[Tensor, Tensor]:
        """Return what is subtracted and what is divided by, ``(units,)`` each."""
        if self.kind == "min-max":
            return seen.low, seen.high - seen.low
        return seen.mean, seen.variance.sqrt()


def _first(sites: Sites) -> frozenset[str]:
    """Return the affine sites that read the input, through views and dropout only."""
    found = [reader for site in sites.of(Kind.INPUT) for reader in sites.readers(site)]
    return frozenset(site.name for site in found if site.kind is Kind.AFFINE)


def _scale(draft: Draft, layer: Affine, offset: Tensor, scale: Tensor) -> None:
    check_plain(draft, layer.weight, layer.bias)
    if layer.site.op.startswith("conv_transpose"):
        message = f"{layer.site.layer}: the input of a transposed convolution cannot be scaled so"
        raise SettingError(message)
    kind = kind_of(draft)
    offset = offset.to(kind)
    scale = torch.where(scale > _LEAST * scale.max(), scale, 1.0).to(kind)
    weight = draft.tensors[layer.weight].clone()
    shift, factors = compensation(layer, weight.cpu(), offset.double(), scale.double())
    place = draft.place(layer.site.layer, "input")
    shape = [-1] + [1] * (weight.dim() - 2) if layer.input_dim == 1 else [-1]
    tensors = [
        draft.add(f"{place}.{name}", value.reshape(shape), buffer=True)
        for name, value in (("offset", offset), ("scale", scale))
    ]
    node = draft.node(layer.site.name)
    place_in = layer_input(node, layer.site)
    padded = _padded(draft, node, place_in, layer.site)
    aten = torch.ops.aten
    centered = draft.call(aten.sub.Tensor, padded, tensors[0], like=padded, before=node)
    scaled = draft.call(aten.div.Tensor, centered, tensors[1], like=padded, before=node)
    node.replace_input_with(place_in, scaled)
    draft.change(layer.weight, weight.double() * factors.to(weight.device))
    layer.shift(draft, shift.to(weight.device))


def layer_input(node: fx.Node, site: Site) -> fx.Node:
    """Return the node that an affine layer reads."""
    found = (n for n in node.all_input_nodes if n.name in site.inputs or n.op == "placeholder")
    return next(found)  # fx renames an input that is called like a builtin


def compensation(layer: Affine, weight: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the bias gets, ``(outputs,)``, and by what weights are multiplied."""
    if layer.outputs == 1:  # a product x @ W, or a transposed convolution
        flat = weight.double().flatten(2).sum(2) if weight.dim() > _PRODUCT else weight.double()
        return mean @ flat, std.reshape(-1, *[1] * (weight.dim() - 1))
    rows, groups = len(weight), layer.groups
    by_row = [v.reshape(groups, -1).repeat_interleave(rows // groups, 0) for v in (mean, std)]
    shape = (rows, -1, *[1] * (weight.dim() - 2))
    means, factors = (v.reshape(shape) for v in by_row)
    return (weight.double() * means).flatten(1).sum(1), factors


def _padded(draft: Draft, node: fx.Node, at: fx.Node, site: Site) -> fx.Node:
    """Put a convolution's zeros around its input, so that it need not pad any more."""
    padding = site.settings.get("padding", 0)
    if not site.op.startswith("conv") or padding in (0, "valid"):
        return at
    if not isinstance(padding, tuple):
        message = f"{site.layer} pads {padding!r}, which is not spelled out in numbers"
        raise SettingError(message)
    if not any(padding):
        return at
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]  # noqa: SLF001
    sides = [int(side) for side in padding] * (1 if len(padding) > 1 else len(site.shape) - 2)
    around = [side for size in reversed(sides) for side in (size, size)]
    made = draft.call(torch.ops.aten.constant_pad_nd.default, at, around, 0.0, like=at, before=node)
    args = list(node.args)
    args[names.index("padding")] = [0] * len(sides)
    node.args = tuple(args)
    return made
