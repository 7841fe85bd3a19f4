"""Max pooling that shrinks images by less than half, or that can from now on."""

from __future__ import annotations

from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DnnRepairError, SettingError
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.measuring import example_of
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import allowed, change_each, listed

if TYPE_CHECKING:
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_HALF = 0.5
_KERNEL = (2, 2)
_IMAGE = 4  # dimensions of (N, C, H, W)


@operation("fractional-pool")
@dataclass(frozen=True, kw_only=True)
class FractionalPool(Operation):
    """Max pooling of 2 x 2 becomes fractional max pooling (Graham 2014, arXiv:1412.6071).

    With the ratio 0.5 both are the same where height and width are even. With another one images
    shrink by less, the outputs change, and regions are drawn at random, in evaluation as in
    training, as torch does it: average several passes over an input (Graham takes 6 or more).
    Overlapping regions of 2 x 2, one of each 1 or 2 pixels.
    """

    ratio: float = _HALF  # of heights and widths that is left, in [0.5, 1)

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Replace pools; see :meth:`Operation.edit`."""
        del generator
        if not _HALF <= self.ratio < 1:
            message = f"fractional pooling takes a ratio in [0.5, 1), not {self.ratio:g}"
            raise SettingError(message)
        sites = subject.running.sites
        chosen = where.choose(sites, lambda site: site.op == "max_pool2d", "max pools of images")
        kept, skipped = allowed(subject, chosen, where)
        now = [sites]  # as the pools before have left them

        def change(site: Site) -> None:
            now.append(self._replace(draft, subject, now[-1], site))

        done, reasons = change_each(kept, skipped, where, change)
        exact = self.ratio == _HALF
        layers = tuple(dict.fromkeys(site.layer or site.name for site in done))
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"max pooling became fractional after {listed(layers)}",
            settings=(f"ratio = {self.ratio:g}",),
            promise=Promise.EXACT if exact else Promise.CHANGES,
            reason="at the ratio 0.5, the only one at which nothing is random"
            if exact
            else "regions are drawn at random, in evaluation too: average several passes",
        )
        return Edited(swaps=(swap,), skipped=reasons)

    def _replace(self, draft: Draft, subject: Subject, sites: Sites, site: Site) -> Sites:
        """Replace one pool and return the sites of the network then, with the sizes they have."""
        name, aten = site.layer or site.name, torch.ops.aten
        shape = sites[site.inputs[0]].shape
        height, width = _sides(site, shape, name)
        if self.ratio == _HALF and (height % 2 or width % 2):
            message = (
                f"{name}: {height} x {width} is not even, so that regions would be drawn at random"
            )
            raise SettingError(message)
        node = draft.node(site.name)
        read = node.all_input_nodes[0]
        row = draft.call(aten.select.int, read, 2, 0, like=node)  # (N, C, W)
        pair = draft.call(aten.slice.Tensor, row, 2, 0, 2, like=row)
        drawn = draft.call(aten.rand_like.default, pair, like=pair)  # of any device: (N, C, 2)
        size = [int(height * self.ratio), int(width * self.ratio)]
        pooled = draft.call(
            aten.fractional_max_pool2d.default, read, list(_KERNEL), size, drawn, like=drawn
        )
        made = draft.call(getitem, pooled, 0, like=pooled)
        draft.reroute(node, made)
        try:
            return draft.program(example_of(subject)).sites
        except (DnnRepairError, RuntimeError) as error:
            draft.reroute(made, node)
            message = f"{name}: what follows takes no images of {size[0]} x {size[1]}"
            raise SettingError(message) from error


def _sides(site: Site, shape: tuple[int, ...], name: str) -> tuple[int, int]:
    """Return height and width of what a pool of 2 x 2 reads.

    Raises:
        SettingError: it pools in another way.
    """
    held = site.settings
    kernel, pads = held.get("kernel_size"), held.get("padding", (0, 0))
    plain = kernel == _KERNEL and held.get("stride", kernel) in ((), kernel)
    if not plain or pads != (0, 0) or held.get("dilation", (1, 1)) != (1, 1):
        message = f"{name}: only pools of 2 x 2 that do not overlap can become fractional"
        raise SettingError(message)
    if held.get("ceil_mode") or len(shape) != _IMAGE:
        message = f"{name}: its pool rounds up or reads no batch of images"
        raise SettingError(message)
    return shape[2], shape[3]
