"""Initializers that look at data: LSUV, and that of weight normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dnnrepair.errors import DataError, ModelError
from dnnrepair.initializers.fans import fans_of
from dnnrepair.initializers.initializer import initialize
from dnnrepair.initializers.orthogonal import Orthogonal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Affine = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
TINY = 1e-10  # added to a variance (Salimans and Kingma's code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What became of one layer.

    Attributes:
        layer: its dotted name.
        mean, std: of its outputs on the batch, over all units.
        tries: how often its weights were rescaled.
    """

    layer: str
    mean: float
    std: float
    tries: int


def lsuv(
    network: nn.Module,
    inputs: Sequence[Tensor],
    *,
    rng: torch.Generator,
    tolerance: float = 0.1,
    tries: int = 10,
) -> list[Calibrated]:
    """Give every linear and convolutional layer outputs of unit variance, one after another.

    Orthogonal weights and zero biases, then each layer's weights are divided by the standard
    deviation of its outputs, in the order in which the layers run, until it is 1 up to
    ``tolerance``. Source: Mishkin and Matas 2015, arXiv:1511.06422.

    Args:
        network: changed in place; runs in evaluation mode and gets its mode back.
        inputs: one representative batch, a tensor for each argument.
        rng: on the network's device.
        tolerance: of the standard deviation, above 0.
        tries: at most so many for each layer.

    Returns:
        A record for each layer, in order of execution.

    Raises:
        DataError: if a layer's outputs are not finite.
        ModelError: if the network has no such layer that runs.
    """

    def calibrate(name: str, layer: Affine, measure: Callable[[], Tensor]) -> Calibrated:
        initialize(layer, Orthogonal(), rng=rng)
        count, out = 0, measure()
        while abs(float(out.std()) - 1) >= tolerance and count < tries:
            if float(out.std()) == 0:
                message = f"{name!r} gives the same for all inputs; LSUV needs a batch that varies"
                raise DataError(message)
            _set_weight(layer, layer.weight / out.std())
            count, out = count + 1, measure()
        return Calibrated(layer=name, mean=float(out.mean()), std=float(out.std()), tries=count)

    return _in_order(network, inputs, calibrate)


def standardized(
    network: nn.Module, inputs: Sequence[Tensor], *, rng: torch.Generator, std: float = 0.05
) -> list[Calibrated]:
    """Give every unit of every linear and convolutional layer mean 0 and variance 1 on a batch.

    Weights from N(0, std^2), then each unit is scaled and shifted, layer by layer; with weight
    normalization this sets its g and b. Not for recurrent networks. Source: Salimans and Kingma
    2016, arXiv:1602.07868, eq. 6.

    Args:
        network: changed in place; runs in evaluation mode and gets its mode back.
        inputs: one representative batch, a tensor for each argument.
        rng: on the network's device.
        std: of the weights that are drawn, before they are scaled.

    Returns:
        A record for each layer, in order of execution.

    Raises:
        DataError: if a layer's outputs are not finite.
        ModelError: if the network has no such layer that runs, or one has no bias.
    """

    def calibrate(name: str, layer: Affine, measure: Callable[[], Tensor]) -> Calibrated:
        if layer.bias is None:
            message = f"{name!r} has no bias, which this initializer sets; use lsuv instead"
            raise ModelError(message)
        with torch.no_grad():
            _set_weight(layer, torch.empty_like(layer.weight).normal_(0.0, std, generator=rng))
            layer.bias.zero_()
        units = _by_unit(layer, measure())  # (rows, units)
        variance, mean = torch.var_mean(units, dim=0, correction=0)
        scale = (variance + TINY).rsqrt()
        _set_weight(layer, layer.weight * scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        with torch.no_grad():
            layer.bias.copy_(-mean * scale)
        out = measure()
        return Calibrated(layer=name, mean=float(out.mean()), std=float(out.std()), tries=1)

    return _in_order(network, inputs, calibrate)


def _set_weight(layer: Affine, value: Tensor) -> None:
    with torch.no_grad():
        if parametrize.is_parametrized(layer, "weight"):
            layer.weight = value  # through its parametrization
        else:
            layer.weight.copy_(value)


def _by_unit(layer: Affine, out: Tensor) -> Tensor:
    last = out if isinstance(layer, nn.Linear) else out.movedim(1, -1)
    return last.reshape(-1, last.shape[-1])


def _in_order(
    network: nn.Module,
    inputs: Sequence[Tensor],
    calibrate: Callable[[str, Affine, Callable[[], Tensor]], Calibrated],
) -> list[Calibrated]:
    """Calibrate each layer once, in the order of execution, in evaluation mode."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        names = {layer: name for name, layer in network.named_modules()}
        order = list(_order(network, inputs))
        if not order:
            message = "no linear or convolutional layer runs on this batch; nothing to initialize"
            raise ModelError(message)
        return [
            calibrate(names[layer], layer, lambda layer=layer: _output(network, layer, inputs))  # type: ignore[misc]
            for layer in order
        ]
    finally:
        for module, mode in modes.items():
            module.training = mode


def _order(network: nn.Module, inputs: Sequence[Tensor]) -> Iterator[Affine]:
    found: dict[Affine, None] = {}

    def seen(layer: nn.Module, _inputs: object, _output: object) -> None:
        assert isinstance(layer, Affine)  # only such layers are watched  # noqa: S101
        found.setdefault(layer)

    watched = [module for module in network.modules() if isinstance(module, Affine)]
    handles = [layer.register_forward_hook(seen) for layer in watched]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    yield from found


def _output(network: nn.Module, layer: Affine, inputs: Sequence[Tensor]) -> Tensor:
    """Return what the layer gives, the first time it runs."""
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _layer, _in, out: found.append(out.detach()))
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        handle.remove()
    if not found[0].isfinite().all():
        fans = fans_of(layer)
        message = f"a layer with {fans.fan_in:g} inputs gives values that are not finite; "
        raise DataError(message + "check the batch and the layers before it")
    return found[0]
