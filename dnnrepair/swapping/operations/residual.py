"""Residual branches made weaker, and their last layers stronger by as much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.residual import residuals
from dnnrepair.sites import Kind, Site, Sites
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import allowed

if TYPE_CHECKING:
    from dnnrepair.residual import Residual
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("residual-scale")
@dataclass(frozen=True, kw_only=True)
class ResidualScale(Operation):
    """Branches of residual blocks are multiplied by a small number, and compensated for it.

    ``x + F(x)`` becomes ``x + s F'(x)``, where the last layer of F' has the weights and the bias of
    F's divided by s: the same function, whose branch learns more slowly. Szegedy et al. 2017
    (arXiv:1602.07261) take 0.1 to 0.3; with ``per_channel`` the number is learned for each channel,
    as in LayerScale (Touvron et al. 2021, arXiv:2103.17239).
    """

    scale: float = 0.1  # in (0, 1]
    per_channel: bool = False  # learn one number for each channel

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Scale branches; see :meth:`Operation.edit`."""
        del generator
        if not 0 < self.scale <= 1:
            message = f"residual branches are scaled by a number in (0, 1], not {self.scale:g}"
            raise SettingError(message)
        sites = subject.running.sites
        known = {found.site.name: found for found in residuals(sites)}
        chosen = where.choose(sites, lambda site: site.name in known, "residual additions")
        kept, skipped = allowed(subject, chosen, where)
        done: list[str] = []
        reasons = list(skipped)
        for site in kept:
            try:
                self._scale(draft, sites, known[site.name])
            except SettingError as error:
                reasons.append(str(error))
            else:
                done.append(site.layer)
        if not done:
            raise SettingError("; ".join(dict.fromkeys(reasons)))
        kind = "each channel's number learned" if self.per_channel else "fixed"
        swap = Swap(
            operation=self.name,
            layers=tuple(dict.fromkeys(done)),
            summary=f"{len(done)} residual branches scaled by {self.scale:g} ({kind}), their last "
            f"layers by {1 / self.scale:g}",
            settings=(f"scale = {self.scale:g}", f"per_channel = {self.per_channel}".lower()),
            promise=Promise.EXACT,
        )
        return Edited(swaps=(swap,), skipped=tuple(dict.fromkeys(reasons)))

    def _scale(self, draft: Draft, sites: Sites, found: Residual) -> None:
        last = last_of(sites, found)
        names = tensors_of(sites, last)
        for name in names:
            draft.change(name, draft.tensors[name].double() / self.scale)
        add, branch = draft.node(found.site.name), draft.node(found.branch)
        factor: object = self.scale
        if self.per_channel:
            shape = [1] * len(found.site.shape)
            shape[found.site.unit_dim] = found.site.width
            kind = draft.tensors[names[0]].dtype
            name = f"{draft.place(last.layer, 'scale')}.weight"
            factor = draft.add(name, torch.full(shape, self.scale, dtype=kind))
        made = draft.call(torch.ops.aten.mul.Tensor, branch, factor, like=branch, before=add)
        place = 1 if found.skip_first else 0
        args = list(add.args)
        args[place] = made
        add.args = tuple(args)


def last_of(sites: Sites, found: Residual) -> Site:
    """Return the last layer with weights of a branch, whose output goes nowhere else.

    Raises:
        SettingError: there is none, or its output is read elsewhere, too.
    """
    at = sites[found.branch]
    while True:
        readers = [site for site in sites if at.name in site.inputs]
        if len(readers) > 1:
            message = f"{found.site.layer}: the end of its residual branch is read elsewhere too"
            raise SettingError(message)
        if at.kind is Kind.AFFINE or at.op in ("batch_norm", "layer_norm", "group_norm"):
            return at
        scaled = at.op in ("mul", "div") and len(at.inputs) == 1  # by a constant
        if not at.inputs or not (scaled or at.kind in (Kind.VIEW, Kind.DROPOUT)):
            message = (
                f"{found.site.layer}: its residual branch ends in {at.op}, which cannot make up "
                "for a scale"
            )
            raise SettingError(message)
        at = sites[at.inputs[0]]


def tensors_of(sites: Sites, site: Site) -> list[str]:
    """Return the names of what scales a layer's outputs: its weight and its bias.

    Raises:
        SettingError: it has none of its own.
    """
    if site.kind is Kind.AFFINE:
        layer = Affine.of(site, sites)
        return [name for name in (layer.weight, layer.bias) if name]
    names = [site.tensors[key] for key in ("weight", "bias") if key in site.tensors]
    if "weight" not in site.tensors or any(
        sum(name in other.tensors.values() for other in sites) > 1 for name in names
    ):
        message = f"{site.layer} has no scale of its own that could make up for another"
        raise SettingError(message)
    return names
