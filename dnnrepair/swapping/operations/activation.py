"""Activations replaced at the places where they are called, as modules or as functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations import Activation, Graft, find, wrapped
from dnnrepair.activations.activation import activations
from dnnrepair.errors import SettingError
from dnnrepair.settings import settings_of
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine
from dnnrepair.swapping.choosing import Chooser
from dnnrepair.swapping.inline import inlined, kind_of, prepared
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.ranges import Ranged
from dnnrepair.swapping.spread import some_inputs
from dnnrepair.swapping.where import allowed, change_each, listed

if TYPE_CHECKING:
    from torch import Tensor, fx

    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.choosing import Choice
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_IMAGE = 4  # dimensions of (N, C, H, W)
_Key = tuple[str, int | None, tuple[int, ...]]  # an activation, its channels, a sample's shape


@operation("activation")
@dataclass(frozen=True, kw_only=True)
class ReplaceActivation(Operation):
    """One activation takes the place of another.

    ``auto``: exactly, where there are parameters with which both are the same function; else as
    ``alpha h(beta z + gamma) + delta``, four learned numbers that bring it nearest to the old one
    on what the layer reads. ``plain``: with its own settings, whatever that does to the outputs.
    ``blend``: ``(1 - share) old + share new`` with a buffer ``share`` that is 0 until training
    raises it. ``limit``: as a function that becomes the old one as its sharpness grows.
    Polynomials are fitted to the old one itself, on the range of what the layer reads.
    """

    new: str = "prelu"  # its name
    old: str = ""  # name of the one that goes; any if empty
    mode: str = "auto"  # one of auto, plain, blend, limit
    settings: str = ""  # of the new one, such as degree=5,norm=minimax
    sharpness: float = 20.0  # of the mode limit, above 0
    per_channel: bool = True  # learn a number for each channel, where channels are dimension 1

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Replace them; see :meth:`Operation.edit`."""
        del generator
        chooser = self._chooser()
        new = chooser.activation()
        old = find(self.old).name if self.old else ""
        sites = subject.running.sites
        kept, skipped = allowed(subject, _chosen(sites, where, old, new.name), where)
        done: dict[Promise, list[tuple[str, str, str]]] = {}
        ranged: list[Ranged] = []
        ready: dict[_Key, Draft] = {}  # the same activation on the same shape is exported once

        def change(site: Site) -> None:
            if site.name == sites.output and not where.named:
                message = f"{site.layer}: its {site.op} gives the network's outputs"
                raise SettingError(message)
            layer = site.layer or site.name
            chosen = chooser.choose(
                layer, partial(activation_at, site, draft), partial(_seen, subject, site)
            )
            choice = _suited(site, chosen)
            graft = choice.graft
            read = self._put(draft, sites, site, graft, ready)
            done.setdefault(choice.promise, []).append((site.op, layer, choice.words))
            ranged.append(Ranged(layer=layer, node=read.name, activation=graft.activation))

        _, reasons = change_each(kept, skipped, where, change)
        swaps = tuple(self._swap(promise, said, new.name) for promise, said in done.items())
        return Edited(
            swaps=swaps,
            skipped=reasons,
            ranged=tuple(place for place in ranged if place.bounded),
        )

    def _swap(self, promise: Promise, said: list[tuple[str, str, str]], new: str) -> Swap:
        old = " and ".join(dict.fromkeys(op for op, _, _ in said))
        layers = tuple(dict.fromkeys(layer for _, layer, _ in said))
        by_words: dict[str, list[str]] = {}
        for _, layer, words in said:
            by_words.setdefault(words, []).append(layer)
        reasons = [
            words if len(by_words) == 1 else f"{words} ({listed(names)})"
            for words, names in by_words.items()
            if words
        ]
        return Swap(
            operation=self.name,
            layers=layers,
            summary=f"{old} became {new} after {listed(layers)}",
            settings=(f"new = {new}", f"mode = {self.mode}", *self._told()),
            promise=promise,
            reason="; ".join(reasons),
        )

    def _told(self) -> tuple[str, ...]:
        """Return the settings of the new one, one by one."""
        given = tuple(pair.strip().replace("=", " = ") for pair in self.settings.split(",") if pair)
        return (*given, *([f"sharpness = {self.sharpness:g}"] if self.mode == "limit" else []))

    def _chooser(self) -> Chooser:
        pairs = [pair.partition("=") for pair in self.settings.split(",") if pair.strip()]
        for name, _, value in pairs:
            if not name.strip() or not value.strip():
                message = f"{self.new},{self.settings}: write settings as name=value"
                raise SettingError(message)
        return Chooser(
            new=self.new,
            mode=self.mode,
            settings={name.strip(): value.strip() for name, _, value in pairs},
            sharpness=self.sharpness,
        )

    def _put(
        self, draft: Draft, sites: Sites, site: Site, graft: Graft, ready: dict[_Key, Draft]
    ) -> fx.Node:
        """Put the new activation in, and return the node that it reads."""
        node = draft.node(site.name)
        source: fx.Node = node.all_input_nodes[0]
        shape = list(site.shape)
        if len(graft.pieces) > 1 or graft.activation.inputs > 1:
            source = _widened(draft, sites, site, graft)
            shape[1] *= graft.activation.inputs
        new = wrapped(graft.activation, graft.wrap)
        second = len(shape) > 1 and site.unit_dim % len(shape) == 1
        channels = site.width if self.per_channel and second and new.learnable else None
        kind = kind_of(draft)
        key = (repr(new), channels, tuple(shape[1:]))
        if key not in ready:
            ready[key] = prepared(new.module(channels, kind), shape, kind)
        place = draft.place(site.layer, graft.activation.name)
        made = inlined(draft, source, ready[key], place, after=node)
        kept: tuple[fx.Node, ...] = ()
        if self.mode == "blend":
            made = _blended(draft, node, made, place)
            kept = (made, *made.all_input_nodes, *made.all_input_nodes[1].all_input_nodes)
        draft.reroute(node, made, keep=kept)
        return source


def activation_at(site: Site, draft: Draft) -> Activation:
    """Return the activation that a site calls, with its settings.

    Raises:
        SettingError: it is none that is known by formula.
    """
    if site.op not in activations:
        message = f"{site.layer or site.name} calls {site.op}, whose formula is not known here"
        raise SettingError(message)
    if site.op == "prelu":
        slopes = draft.tensors[site.tensors["weight"]].double()
        if bool((slopes != slopes.flatten()[0]).any()):
            message = f"{site.layer}: its prelu has learned a slope for each channel; keep it"
            raise SettingError(message)
        return find("prelu", slope=float(slopes.flatten()[0]))
    known = settings_of(activations[site.op])  # type: ignore[arg-type]
    given = {name: value for name, value in site.settings.items() if name in known}
    for name in ("scale", "input_scale"):  # of elu, with which torch computes selu and celu
        if site.op == "elu" and float(site.setting(name, 1.0)) != 1:
            message = f"{site.layer or site.name} calls elu with {name}, which is not known here"
            raise SettingError(message)
    return find(site.op, **given)


def _suited(site: Site, choice: Choice) -> Choice:
    """Return a choice without what only images can have, and say so, at other sites."""
    images = len(site.shape) == _IMAGE and site.unit_dim % _IMAGE == 1
    new = choice.graft.activation.suited_to(images=images)
    if new == choice.graft.activation:
        return choice
    words = f"{choice.words}, without its convolution".removeprefix(", ")
    return replace(choice, graft=replace(choice.graft, activation=new), words=words)


def _chosen(sites: Sites, where: Where, old: str, new: str) -> tuple[Site, ...]:
    what = f"{old} activations" if old else f"activations other than {new}"
    return where.choose(
        sites,
        lambda site: site.kind is Kind.ACTIVATION and (site.op == old if old else site.op != new),
        what,
    )


def _seen(subject: Subject, site: Site) -> Tensor | None:
    """Return what an activation reads on the data, None if there are none."""
    return None if subject.samples is None else some_inputs(subject, [site])[site.name]


def _blended(draft: Draft, old: fx.Node, new: fx.Node, place: str) -> fx.Node:
    """Return ``old + share (new - old)``; exact at share 0 wherever ``new`` is finite."""
    aten = torch.ops.aten
    share = draft.add(f"{place}.share", torch.zeros((), dtype=kind_of(draft)), buffer=True)
    change = draft.call(aten.sub.Tensor, new, old, like=new)
    partial = draft.call(aten.mul.Tensor, share, change, like=change)
    return draft.call(aten.add.Tensor, old, partial, like=partial)


def _widened(draft: Draft, sites: Sites, site: Site, graft: Graft) -> fx.Node:
    """Give the layer before an activation a block of units for each piece, and return its node."""
    source = sites.source(site)
    if source is None or source.kind is not Kind.AFFINE or source.name not in site.inputs:
        message = f"{site.layer}: {graft.activation.name} needs an affine layer right before it"
        raise SettingError(message)
    if [reader.name for reader in sites if source.name in reader.inputs] != [site.name]:
        message = f"{site.layer}: what comes before its activation is read elsewhere too"
        raise SettingError(message)
    layer = Affine.of(source, sites)
    if layer.groups != 1 or source.unit_dim % len(source.shape) != 1:
        message = f"{site.layer}: {graft.activation.name} needs units in dimension 1, ungrouped"
        raise SettingError(message)
    pieces = graft.pieces
    weight = draft.tensors[layer.weight]
    draft.change(layer.weight, torch.cat([s * weight for s, _ in pieces], dim=layer.outputs))
    if layer.bias:
        bias = draft.tensors[layer.bias]
        draft.change(layer.bias, torch.cat([scale * bias + shift for scale, shift in pieces]))
    else:
        shifts: Tensor = torch.tensor([shift for _, shift in pieces], dtype=torch.float64)
        layer.shift(draft, shifts.repeat_interleave(source.width).to(weight.device))
    return draft.node(source.name)
