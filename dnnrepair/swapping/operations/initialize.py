"""Initial weights drawn again, for networks that will be trained again."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations import find as find_activation
from dnnrepair.activations.activation import activations
from dnnrepair.errors import DataError, SettingError
from dnnrepair.initializers import Fans, Initializer, find, matching
from dnnrepair.observation import Role
from dnnrepair.residual import residuals
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.operations.residual import last_of, tensors_of
from dnnrepair.swapping.spread import given
from dnnrepair.swapping.where import allowed, listed

if TYPE_CHECKING:
    from dnnrepair.observation import TensorInfo
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

MATCHED, LSUV, STANDARDIZED = "matched", "lsuv", "data-dependent"
_AUTO = (MATCHED, "auto")
_ON_DATA = (LSUV, STANDARDIZED)
ZERO_RESIDUAL = "zero-residual"
_DRAWN = (Kind.AFFINE, Kind.RECURRENT, Kind.EMBEDDING)
_WEIGHTS = (Role.WEIGHT, Role.RECURRENT, Role.EMBEDDING)
_OWN_GAIN = ("lecun", "zero")  # rules that fix their gain
_TINY = 1e-10  # variance that is added, so that a constant unit stays finite
_NEAR, _TRIES = 0.1, 10  # of LSUV: deviation from 1, and how often it may rescale


@operation("init")
@dataclass(frozen=True, kw_only=True)
class Initialize(Operation):
    """Weights are drawn anew by a rule, and biases set to 0: what was learned there is lost.

    ``matched``, or ``auto``, takes the rule and the gain that suit the activation after the layer,
    ``lsuv`` orthogonal weights scaled until the layer's outputs have deviation 1 on the data
    (Mishkin and Matas 2015, arXiv:1511.06422), ``data-dependent`` weights whose units are scaled
    and shifted until each has mean 0 and deviation 1 there (Salimans and Kingma 2016,
    arXiv:1602.07868, eq. 6). ``zero-residual`` sets the last layer of each residual branch to 0,
    so that blocks begin as the identity (Goyal et al. 2017, arXiv:1706.02677). Other rules take the
    gain of the activation after the layer, except those that fix it.
    """

    rule: str = MATCHED  # an initializer, auto, lsuv, data-dependent, zero-residual

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Draw them; see :meth:`Operation.edit`."""
        if self.rule == ZERO_RESIDUAL:
            return _silenced(draft, subject, where)
        if self.rule not in (*_AUTO, *_ON_DATA):
            find(self.rule)
        if self.rule in _ON_DATA and subject.samples is None:
            message = f"{self.rule} scales by what layers give: give data with --data"
            raise DataError(message)
        sites = subject.running.sites
        chosen = where.choose(sites, lambda site: site.kind in _DRAWN, "layers with weights")
        kept, skipped = allowed(subject, chosen, where)
        said: dict[str, list[str]] = {}
        for site in kept:
            how, gain = self._how(sites, site)
            self._draw(draft, subject, site, how, gain, generator)
            said.setdefault(f"{how.name}, gain {gain:.3g}", []).append(site.layer)
        words = "; ".join(f"{listed(layers)} by {rule}" for rule, layers in said.items())
        swap = Swap(
            operation=self.name,
            layers=tuple(dict.fromkeys(site.layer for site in kept)),
            summary=f"weights drawn again: {words}"
            + (f" ({self.rule})" if self.rule in _ON_DATA else ""),
            settings=(f"rule = {self.rule}",),
            promise=Promise.CHANGES,
            reason="what was learned there is lost: train the network again",
        )
        return Edited(swaps=(swap,), skipped=skipped)

    def _how(self, sites: Sites, site: Site) -> tuple[Initializer, float]:
        """Return the rule for a layer and its gain."""
        following = _activation(sites, site)
        known = following if following in activations else ""
        if self.rule in _ON_DATA:
            return find("orthogonal" if self.rule == LSUV else "lecun_normal"), 1.0
        if self.rule in _AUTO:
            if not known:
                return find("xavier_normal"), 1.0
            found = matching(find_activation(known))
            return found.initializer, found.gain
        how = find(self.rule)
        fixed = how.name.startswith(_OWN_GAIN) or not known
        return how, how.default_gain if fixed else find_activation(known).gain

    def _draw(
        self,
        draft: Draft,
        subject: Subject,
        site: Site,
        how: Initializer,
        gain: float,
        generator: torch.Generator,
    ) -> None:
        infos = [subject.infos[name] for name in dict.fromkeys(site.tensors.values())]
        for info in infos:
            value = draft.tensors[info.name]
            if not value.is_floating_point():
                message = f"{info.name} holds integers (a quantized layer) and cannot be drawn"
                raise SettingError(message)
            fresh = torch.zeros(value.shape, dtype=value.dtype)
            if info.role in _WEIGHTS:
                how.fill(fresh, fans(info, site), gain=gain, rng=generator)
            elif info.role is not Role.BIAS:
                continue
            draft.change(info.name, fresh.to(value.device))
        if site.kind is Kind.AFFINE and self.rule in _ON_DATA:
            layer = Affine.of(site, subject.running.sites)
            (_calibrate if self.rule == LSUV else _standardize)(draft, subject, layer)


def fans(info: TensorInfo, site: Site) -> Fans:
    """Return the fans of a weight, of which the graph knows more than the shape tells."""
    steps = site.settings.get("stride", 1)
    flipped = info.unit_dim == 1
    strided = site.op.startswith("conv_transpose") and isinstance(steps, tuple)
    divisor = prod(steps) if strided and isinstance(steps, tuple) else 1
    if info.role is Role.EMBEDDING:
        return Fans(fan_in=1, fan_out=info.shape[1])
    return Fans(
        fan_in=info.fan_in / divisor,
        fan_out=info.fan_out / max(1, info.blocks),
        blocks=info.groups if site.kind is Kind.AFFINE and info.blocks == 1 else info.blocks,
        inputs_first=flipped,
    )


def _activation(sites: Sites, site: Site) -> str:
    """Return the operation of the activation that a layer feeds, through norms and pools."""
    at = site
    while True:
        readers = sites.readers(at)
        if len(readers) != 1:
            return ""
        (at,) = readers
        if at.kind is Kind.ACTIVATION:
            return at.op
        if at.kind not in (Kind.NORM, Kind.POOL):
            return ""


def _calibrate(draft: Draft, subject: Subject, layer: Affine) -> None:
    for _ in range(_TRIES):
        seen = given(subject, layer.site, draft.program())
        mean = seen.mean.mean()
        std = float((seen.variance + (seen.mean - mean) ** 2).mean().sqrt())
        if not std > 0:
            message = f"{layer.site.layer} gives the same for all inputs; lsuv cannot scale it"
            raise DataError(message)
        if abs(std - 1) < _NEAR:
            return
        draft.change(layer.weight, draft.tensors[layer.weight].double() / std)


def _standardize(draft: Draft, subject: Subject, layer: Affine) -> None:
    """Give each unit of a layer mean 0 and deviation 1 on the data."""
    seen = given(subject, layer.site, draft.program())
    scale = (seen.variance + _TINY).rsqrt()
    weight = draft.tensors[layer.weight]
    scaled = layer.scaled_rows(weight.double().cpu(), scale)
    draft.change(layer.weight, scaled.to(weight.device))
    layer.shift(draft, (-seen.mean * scale).to(weight.device))


def _silenced(draft: Draft, subject: Subject, where: Where) -> Edited:
    """Set the last layer of each residual branch to 0."""
    sites = subject.running.sites
    known = {found.site.name: found for found in residuals(sites)}
    chosen = where.choose(sites, lambda site: site.name in known, "residual additions")
    kept, skipped = allowed(subject, chosen, where)
    last = [last_of(sites, known[site.name]) for site in kept]
    for name in [name for site in last for name in tensors_of(sites, site)]:
        if name in draft.buffers:
            message = f"{name} is fixed, and would stay 0: a mean-only norm ends its branch"
            raise SettingError(message)
        draft.change(name, torch.zeros_like(draft.tensors[name]))
    layers = tuple(dict.fromkeys(site.layer for site in last))
    swap = Swap(
        operation="init",
        layers=layers,
        summary=f"{listed(layers)} set to 0: residual blocks begin as the identity",
        settings=(f"rule = {ZERO_RESIDUAL}",),
        promise=Promise.CHANGES,
        reason="what was learned there is lost: train the network again",
    )
    return Edited(swaps=(swap,), skipped=skipped)
