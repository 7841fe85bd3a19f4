"""A network that normalizes its own input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import DataError, SettingError
from dnnrepair.repairing.treatment import Treated
from dnnrepair.sites import Kind
from dnnrepair.swapping.affine import Affine
from dnnrepair.swapping.draft import Draft
from dnnrepair.swapping.operation import finished

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject

_FLOOR = 0.1  # of the median deviation: a feature that varies less is not blown up further
_IMAGE = 3  # dimensions from which on features are channels


def input_normalized(subject: Subject, *, keep: bool) -> Treated:
    """Return the network with ``(x - mean) / deviation`` before everything else.

    Mean and deviation are those of the subject's samples: per channel of images, else per feature,
    with deviations of at least a tenth of their median.

    Args:
        subject: the network, with data.
        keep: rescale the first layer so that the function stays; with padded convolutions it does
            only away from the border.

    Raises:
        SettingError: there is no input of real numbers.
        DataError: there are no data.
    """
    sites = subject.running.sites
    site = next((one for one in sites.of(Kind.INPUT)), None)
    if site is None or not _is_real(subject):
        message = "the network has no input of real numbers; there is nothing to normalize"
        raise SettingError(message)
    mean, deviation = _measured(subject)
    draft = Draft.of(subject.running)
    node = draft.node(site.name)
    place = draft.fresh("input_norm")
    shape = (-1, *(1,) * max(len(site.shape) - 2, 0))  # (channels, 1, ...) or (features,)
    means = draft.add(f"{place}.mean", mean.reshape(shape), buffer=True)
    deviations = draft.add(f"{place}.deviation", deviation.reshape(shape), buffer=True)
    last = deviations if _later(draft, deviations, means) else means
    shifted = draft.call(torch.ops.aten.sub.Tensor, node, means, like=last)
    scaled = draft.call(torch.ops.aten.div.Tensor, shifted, deviations, like=shifted)
    draft.reroute(node, scaled, keep=(shifted,))
    done = [f"inputs normalized inside the network by mean and deviation of {len(mean)} features"]
    if keep:
        done.append(_compensated(draft, sites, site, mean, deviation))
    return Treated(subject=finished(subject, draft), done=tuple(done), structural=True)


def _later(draft: Draft, one: object, other: object) -> bool:
    order = list(draft.graph.nodes)
    return order.index(one) > order.index(other)  # type: ignore[arg-type]


def _is_real(subject: Subject) -> bool:
    if subject.samples is None:
        message = "inputs are normalized by their statistics: give data with --data"
        raise DataError(message)
    return subject.samples.example(1).inputs[0].is_floating_point()


def _measured(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return mean and deviation per feature, ``(features,)``."""
    assert subject.samples is not None  # asked before  # noqa: S101
    total, squares, count = torch.zeros(()), torch.zeros(()), 0
    for batch in subject.samples.batches(1024):
        x = batch.inputs[0].double()
        rows = (
            x.movedim(1, -1).reshape(-1, x.shape[1]) if x.dim() >= _IMAGE else x.reshape(len(x), -1)
        )
        total, squares = total + rows.sum(0), squares + rows.square().sum(0)
        count += len(rows)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    varying = deviation[deviation > 0]
    least = _FLOOR * float(varying.median()) if len(varying) else 1.0
    return mean.float(), deviation.clamp(min=least or 1.0).float()


def _compensated(draft: Draft, sites: Sites, site: Site, mean: Tensor, deviation: Tensor) -> str:
    """Rescale the first layer, and return what that keeps."""
    readers = [one for one in sites.readers(site) if one.kind is not Kind.VIEW]
    flat = [one for one in sites.readers(site) if one.kind is Kind.VIEW]
    if len(readers) != 1 or flat or not readers[0].tensors.get("bias"):
        return "the first layer is not rescaled: it is none that could be"
    try:
        layer = Affine.of(readers[0], sites)
    except SettingError as error:
        return f"the first layer is not rescaled: {error}"
    weight, bias = draft.tensors[layer.weight], draft.tensors[layer.bias]
    if layer.outputs or layer.groups > 1 or weight.shape[1] != len(mean):
        return "the first layer is not rescaled: its weights are laid out otherwise"
    wide = (-1, *(1,) * (weight.dim() - 2))
    draft.change(layer.bias, bias + (weight * mean.reshape(wide)).flatten(1).sum(1))
    draft.change(layer.weight, weight * deviation.reshape(wide))
    near = ", but for the border that is padded" if layer.pads else ""
    return f"{layer.site.layer} rescaled so that the function stays{near}"
