"""Normalizations put into a trained network so that nothing changes at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError, SettingError
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine, check_plain
from dnnrepair.swapping.inline import kind_of
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.spread import outputs
from dnnrepair.swapping.where import allowed, change_each, listed

if TYPE_CHECKING:
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.spread import Spread
    from dnnrepair.swapping.where import Where

KINDS = ("batch", "mean", "layer", "rms", "weight")
_OF_BATCH = ("batch", "mean")  # start from the layer's values
_EPS = 1e-5  # torch's
_MOMENTUM = 0.1  # torch's, and that of mean-only batch norm
# A mean-only norm is a batch norm whose eps = c^2 drowns the variance, with the fixed scale c:
# c (x - mean) / sqrt(var + c^2) is x - mean up to var / 2c^2, which no type of number can hold.
_FIXED = 2.0**30  # c
_COARSE = 2.0**15  # c, as large as float16 allows
_ROW = 2  # dimensions of (samples, units)


@operation("norm")
@dataclass(frozen=True, kw_only=True)
class Normalize(Operation):
    """A normalization after (or of the weights of) affine layers, calibrated to the identity.

    ``batch``: batch norm whose running statistics are those of the data, and whose weight and bias
    undo them. ``mean``: mean-only batch norm, ``y = x - mean + b``, which leaves the scale to a
    weight norm (Salimans and Kingma 2016, arXiv:1602.07868); b = mean at the start. ``layer``:
    ``y = x + c (LN(x) - x)`` with a learned c that starts at 0, because a layer norm itself cannot
    be the identity; ``rms`` likewise, by the root mean square only (Zhang and Sennrich 2019,
    arXiv:1910.07467). ``weight``: ``w = g v / |v|`` with g = |v| (Salimans and Kingma 2016). In
    training mode a batch norm adds the noise of its batches: start with 32 inputs a batch or more.
    """

    kind: str = "batch"  # one of batch, mean, layer, rms, weight

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Insert it; see :meth:`Operation.edit`."""
        del generator
        if self.kind not in KINDS:
            message = f"no normalization is called {self.kind!r}; known: {', '.join(KINDS)}"
            raise SettingError(message)
        if self.kind in _OF_BATCH and subject.samples is None:
            message = "a batch norm starts from the layer's values: give data with --data"
            raise DataError(message)
        sites = subject.running.sites
        chosen = where.choose(sites, lambda site: site.kind is Kind.AFFINE, "affine layers")
        kept, skipped = allowed(subject, chosen, where)
        seen = outputs(subject, kept) if self.kind in _OF_BATCH else {}
        done, reasons = change_each(
            kept,
            skipped,
            where,
            lambda site: self._insert(draft, sites, site, seen.get(site.name)),
        )
        swap = Swap(
            operation=self.name,
            layers=tuple(dict.fromkeys(site.layer for site in done)),
            summary=f"{self.kind} normalization put {'on' if self.kind == 'weight' else 'after'} "
            f"{listed(site.layer for site in done)}, as the identity",
            settings=(f"kind = {self.kind}",),
            promise=Promise.EXACT,
            reason=_REASONS[self.kind],
        )
        return Edited(swaps=(swap,), skipped=reasons)

    def _insert(self, draft: Draft, sites: Sites, site: Site, seen: Spread | None) -> None:
        if site.name == sites.output:
            message = f"{site.layer} is the last layer: its outputs are the network's answers"
            raise SettingError(message)
        if self.kind == "weight":
            _weight_norm(draft, Affine.of(site, sites))
        elif self.kind in ("layer", "rms"):
            _sample_norm(draft, site, self.kind)
        else:
            assert seen is not None  # it was measured  # noqa: S101
            _batch_norm(draft, sites, site, seen, mean_only=self.kind == "mean")


_REASONS = {
    "mean": "calibrated on the data; in training mode the mean of each batch adds noise",
    "batch": "calibrated on the data; in training mode each batch's own statistics add noise",
    "layer": "its share starts at 0 and is learned",
    "rms": "its share starts at 0 and is learned",
    "weight": "length and direction of each unit's weights are learned apart",
}


def _batch_norm(draft: Draft, sites: Sites, site: Site, seen: Spread, *, mean_only: bool) -> None:
    following = [reader.op for reader in sites if site.name in reader.inputs]
    if following == ["batch_norm"]:
        message = f"{site.layer} is followed by a batch norm already"
        raise SettingError(message)
    if len(site.shape) > _ROW and site.unit_dim % len(site.shape) != 1:
        message = (
            f"{site.layer} gives {len(site.shape) - 1}-dimensional sequences, for which batch "
            "norms are not made; take layer"
        )
        raise SettingError(message)
    mean, variance, kind = seen.mean, seen.variance, kind_of(draft)
    place = draft.place(site.layer, "norm")
    eps = (_COARSE if kind is torch.float16 else _FIXED) ** 2 if mean_only else _EPS
    scale = (variance.to(kind).double() + eps).sqrt()
    tensors = [
        draft.add(f"{place}.{'scale' * mean_only or 'weight'}", scale.to(kind), buffer=mean_only),
        draft.add(f"{place}.bias", mean.to(kind)),
        draft.add(f"{place}.running_mean", mean.to(kind), buffer=True),
        draft.add(f"{place}.running_var", variance.to(kind), buffer=True),
    ]
    node = draft.node(site.name)
    made = draft.call(
        torch.ops.aten.batch_norm.default,
        node, *tensors, False, _MOMENTUM, eps, False,  # noqa: FBT003 - as exported
        like=node,
    )  # fmt: skip
    draft.reroute(node, made)


def _sample_norm(draft: Draft, site: Site, name: str) -> None:
    """Insert ``y = x + c (norm(x) - x)``, whose statistics are those of each sample."""
    node = draft.node(site.name)
    shape, aten = site.shape, torch.ops.aten
    width, kind = site.width, kind_of(draft)
    last = site.unit_dim % len(shape) == len(shape) - 1
    if name == "rms" and not last:
        message = f"{site.layer} gives channels before positions; take layer or batch there"
        raise SettingError(message)
    place = draft.place(site.layer, "norm")
    weight = draft.add(f"{place}.weight", torch.ones(width, dtype=kind))
    if name == "rms":
        normed = draft.call(aten.rms_norm.default, node, [width], weight, _EPS, like=node)
    else:
        bias = draft.add(f"{place}.bias", torch.zeros(width, dtype=kind))
        call = aten.layer_norm.default if last else aten.group_norm.default
        over = [width] if last else 1  # of images all channels and positions, as one group
        normed = draft.call(call, node, over, weight, bias, _EPS, like=node)
    share = draft.add(f"{place}.share", torch.zeros(1, dtype=kind))
    change = draft.call(aten.sub.Tensor, normed, node, like=normed)
    partial = draft.call(aten.mul.Tensor, share, change, like=change)
    made = draft.call(aten.add.Tensor, node, partial, like=partial)
    draft.reroute(node, made, keep=(normed, change))


def _weight_norm(draft: Draft, layer: Affine) -> None:
    check_plain(draft, layer.weight)
    weight = draft.tensors[layer.weight]
    rows = layer.by_row(weight).flatten(1)
    empty = (rows == 0).all(1).nonzero()[:, 0].tolist()
    if empty:
        message = (
            f"{layer.site.layer}: the weights of units {empty[:6]} are all 0, and have no "
            "direction; re-draw them first (--revive)"
        )
        raise SettingError(message)
    shape = [1] * weight.dim()
    shape[layer.outputs] = -1
    length = rows.double().norm(dim=1).to(weight.dtype).reshape(shape)
    node = draft.tensor(layer.weight)
    users = list(node.users)
    place, _, last = layer.weight.rpartition(".")
    prefix = f"{place}." if place else ""
    direction = draft.add(f"{prefix}{last}_v", weight)
    size = draft.add(f"{prefix}{last}_g", length)
    made = draft.call(
        torch.ops.aten._weight_norm.default,  # noqa: SLF001 - torch's own name for it
        direction, size, layer.outputs,
        like=node, before=users[0],
    )  # fmt: skip
    draft.reroute(node, made)
    draft.tidy()
    draft.drop(layer.weight)
