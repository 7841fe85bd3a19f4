"""The normalization of the input taken over by the first affine layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine, check_plain
from dnnrepair.swapping.inline import kind_of
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.operations.scale_input import compensation, layer_input
from dnnrepair.swapping.where import allowed, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("fold-input")
@dataclass(frozen=True, kw_only=True)
class FoldInput(Operation):
    """The network takes its input as it is stored, and no longer scaled and normalized.

    It was given ``(s r - m) / c`` for an input r, with m and c for each channel. The first layer
    becomes W' = W diag(s / c), b' = b - W (m / c). Where that layer pads with zeros, they stand for
    m / s: that is subtracted in front of it then, and only the scale goes into the weights, so that
    borders stay exact, too.
    """

    mean: tuple[float, ...] = ()  # m of each channel, or one for all
    std: tuple[float, ...] = ()  # c, likewise
    scale: float = 1.0  # s

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Fold it in; see :meth:`Operation.edit`."""
        del generator
        if not (self.mean or self.std or self.scale != 1):
            message = "nothing is to be folded in: give --mean, --std or --scale with --fold-input"
            raise SettingError(message)
        sites = subject.running.sites
        kept, _ = allowed(subject, _readers(sites), where)
        layers = [Affine.of(site, sites) for site in kept]
        channels = _channels(subject, layers)
        inside = []
        for layer in layers:
            which = channels[layer.site.name]
            apart = self._fold(draft, layer, self._numbers(which, layer.site.layer))
            inside += [layer.site.layer] if apart else []
        names = tuple(dict.fromkeys(site.layer for site in kept))
        reason = "give inputs as they are stored from now on, not normalized"
        if inside:
            reason += (
                f"; the mean is subtracted in front of {listed(inside)}, which pads with zeros"
            )
        swap = Swap(
            operation=self.name,
            layers=names,
            summary=f"the input's normalization is now part of {listed(names)}",
            settings=tuple(self._told()),
            promise=Promise.EXACT,
            reason=reason,
        )
        return Edited(swaps=(swap,), reads=self.stored)

    def stored(self, values: Tensor) -> Tensor:
        """Return a batch as it was before it was normalized, the inverse of what it was given."""
        shape = [-1] + [1] * (values.dim() - 2)
        for numbers, undo in ((self.std, torch.mul), (self.mean, torch.add)):
            if numbers:
                values = undo(values, values.new_tensor(numbers).reshape(shape))
        return values / self.scale

    def _told(self) -> list[str]:
        known = {"mean": self.mean, "std": self.std}
        told = [f"{k} = {','.join(f'{x:g}' for x in v)}" for k, v in known.items() if v]
        return [*told, *([f"scale = {self.scale:g}"] if self.scale != 1 else [])]

    def _numbers(self, channels: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Return m and c for each feature that a layer reads, ``(features,)`` float64."""
        found = []
        for name, numbers, plain in (("mean", self.mean, 0.0), ("std", self.std, 1.0)):
            values = torch.tensor(numbers or (plain,), dtype=torch.float64)
            if len(values) not in (1, int(channels.max()) + 1):
                message = (
                    f"--{name} holds {len(values)} numbers, and {layer} reads "
                    f"{int(channels.max()) + 1} channels"
                )
                raise SettingError(message)
            found.append(values.expand(int(channels.max()) + 1)[channels])
        return found[0], found[1]

    def _fold(self, draft: Draft, layer: Affine, numbers: tuple[Tensor, Tensor]) -> bool:
        """Change one layer; return whether the mean is subtracted in front of it."""
        check_plain(draft, layer.weight, layer.bias)
        mean, std = numbers
        weight = draft.tensors[layer.weight].clone()
        shift, factors = compensation(layer, weight.cpu(), -mean / std, self.scale / std)
        draft.change(layer.weight, weight.double() * factors.to(weight.device))
        apart = bool(mean.any()) and (layer.pads or layer.site.op.startswith("conv_transpose"))
        if not apart:
            layer.shift(draft, shift.to(weight.device))
            return False
        place = draft.place(layer.site.layer, "input")
        shape = [-1] + [1] * (weight.dim() - 2)
        value = (mean / self.scale).to(kind_of(draft)).reshape(shape)
        known = draft.add(f"{place}.mean", value, buffer=True)
        node = draft.node(layer.site.name)
        read = layer_input(node, layer.site)
        centered = draft.call(torch.ops.aten.sub.Tensor, read, known, like=read, before=node)
        node.replace_input_with(read, centered)
        return True


def _readers(sites: Sites) -> tuple[Site, ...]:
    """Return the affine layers that read the first input.

    Raises:
        SettingError: something else reads it, too.
    """
    first = next(iter(sites.of(Kind.INPUT)), None)
    found = () if first is None else sites.readers(first)
    other = next((site for site in found if site.kind is not Kind.AFFINE), None)
    if other is not None:
        message = (
            f"{other.op} ({other.where or other.layer or other.name}) reads the input, and only "
            "linear layers and convolutions can take its normalization over"
        )
        raise SettingError(message)
    if not found:
        message = "nothing reads the input, so nothing can take its normalization over"
        raise SettingError(message)
    return tuple(found)


def _channels(subject: Subject, layers: list[Affine]) -> dict[str, Tensor]:
    """Return which channel of the input each feature is that a layer reads, by site.

    Raises:
        SettingError: features are no values of the input.
    """
    program = subject.running
    dims = {layer.site.name: layer.input_dim for layer in layers}
    first = next(iter(program.sites.of(Kind.INPUT)))
    marks = torch.arange(first.shape[1]).reshape(-1, *[1] * (len(first.shape) - 2))
    rest = [site.shape for site in program.sites.of(Kind.INPUT)][1:]
    kind = next(t.dtype for t in subject.tensors.values() if t.is_floating_point())
    size = max(2, first.shape[0])
    probe = marks.expand(size, *first.shape[1:]).to(kind)
    inputs = (probe, *(torch.zeros(size, *shape[1:], dtype=kind) for shape in rest))
    found: dict[str, Tensor] = {}

    def keep(site: Site, arguments: Mapping[str, Any], _value: Any) -> None:  # noqa: ANN401
        if site.name in dims:
            rows = arguments["input"].movedim(dims[site.name], 0).flatten(1)
            if bool((rows != rows[:, :1]).any()) or bool((rows[:, 0] != rows[:, 0].round()).any()):
                message = f"{site.layer} reads several channels as one feature: it stays as it is"
                raise SettingError(message)
            found[site.name] = rows[:, 0].long().cpu()

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        program.run(tuple(x.to(subject.device) for x in inputs), watch=keep)
    return found
