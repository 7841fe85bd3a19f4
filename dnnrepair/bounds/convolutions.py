"""Rules of convolutions: any stride, padding, dilation and grouping, forward and transposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor
from torch.nn import functional as F

from dnnrepair.bounds.affine import layered
from dnnrepair.bounds.arithmetic import add
from dnnrepair.bounds.patched import Entry, Patched, value_of
from dnnrepair.bounds.rule import UnboundedError, bound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import EllipsisType

    import torch

    from dnnrepair.bounds.zonotope import Value

Sizes: TypeAlias = Any  # an int, one per dimension, or "same" and "valid" for a padding

_FORWARD = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Convolution:
    """A convolution with a weight of ``shape``; ``sizes`` are torch's arguments."""

    shape: torch.Size
    groups: int
    transposed: bool
    sizes: Mapping[str, Sizes]

    def times(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._run(x, weight, self.groups)

    def term(self, x: Tensor, entry: Entry) -> Tensor:
        channel, _ = self._channels(entry)
        kernel = x.new_zeros(1, 1, *self.shape[2:])
        kernel[(0, 0, *entry.index[2:])] = 1
        return self._run(x[:, channel, None], kernel, 1)[:, 0]

    def unit(self, entry: Entry) -> tuple[int | slice | EllipsisType, ...]:
        return (slice(None), self._channels(entry)[1])

    def _run(self, x: Tensor, weight: Tensor, groups: int) -> Tensor:
        function: Any = (_TRANSPOSED if self.transposed else _FORWARD)[len(self.shape) - 2]
        found: Tensor = function(x, weight, groups=groups, **self.sizes)
        return found

    def _channels(self, entry: Entry) -> tuple[int, int]:
        """Return the input and the output channel that a weight connects."""
        first, second = entry.index[:2]
        group = first // (self.shape[0] // self.groups)
        other = group * self.shape[1] + second
        return (first, other) if self.transposed else (other, first)


@bound("conv1d", "conv2d", "conv3d", sparse=True)
def convolve(
    x: Value | Patched,
    weight: Value | Patched,
    bias: Value | Patched | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """Bound a convolution of ``(N, C, *space)``."""
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    layer = _Convolution(shape=weight.shape, groups=groups, transposed=False, sizes=sizes)
    return _biased(x, weight, bias, layer)


@bound("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", sparse=True)
def convolve_transposed(
    x: Value | Patched,
    weight: Value | Patched,
    bias: Value | Patched | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """Bound a transposed convolution of ``(N, C, *space)``."""
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    sizes |= {"output_padding": output_padding}
    layer = _Convolution(shape=weight.shape, groups=groups, transposed=True, sizes=sizes)
    return _biased(x, weight, bias, layer)


@bound("convolution", sparse=True)
def convolution(  # noqa: PLR0913, PLR0917 - as torch has it
    x: Value | Patched,
    weight: Value | Patched,
    bias: Value | Patched | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,  # noqa: FBT001 - as torch has it
    output_padding: Sizes,
    groups: int,
) -> Value:
    """Bound either kind, as a decomposed graph calls it."""
    if transposed:
        return convolve_transposed(
            x, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return convolve(x, weight, bias, stride, padding, dilation, groups)


def _biased(
    x: Value | Patched,
    weight: Value | Patched,
    bias: Value | Patched | None,
    layer: _Convolution,
) -> Value:
    inputs = value_of(x)
    if inputs.dim() != len(weight.shape):
        message = "no interval rule for a convolution without batch dimension"
        raise UnboundedError(message)
    found = layered(inputs, weight, layer)
    if bias is None:
        return found
    rank = len(weight.shape) - 2
    shift = value_of(bias)
    if isinstance(shift, Tensor):
        return add(found, shift.reshape(-1, *(1,) * rank))
    return add(found, shift.map(lambda part: part.reshape(-1, *(1,) * rank)))
