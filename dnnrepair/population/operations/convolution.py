"""Convolutions and transposed convolutions: patched, or fed with what a patch has changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.population.call import rule
from dnnrepair.population.operations.patching import Patched, add_responses, sparse_response
from dnnrepair.population.values import Dense, Edited, Shared, Sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dnnrepair.population.call import Call

MOSTLY = 0.75  # of the channels changed: then the whole convolution costs no more than the change


@rule("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(call: Call) -> Any:  # noqa: ANN401 - a value
    """Convolve a ``(n, C, *space)`` input."""
    conv = _Convolution.of(call)
    source = call.input
    if conv is None or not isinstance(source, Shared | Sparse | Dense):
        return NotImplemented
    patched = conv.patched()
    if isinstance(source, Shared):
        return sparse_response(call, source, patched, 1)
    if isinstance(source, Sparse) and not patched:
        found = conv.of_sparse(source)
        if found is not None:
            return found
    values = source.dense() if isinstance(source, Sparse) else source.values
    out = conv.of_dense(values)
    if patched:
        size = values.shape[:2]
        folded = values.flatten(0, 1)
        unfolded = [Patched(w.column, w.unit, partial(_unfolded_plane, w, size)) for w in patched]
        add_responses(out, folded, unfolded, call.chunk.change, 1)
    return Dense(out)


def _unfolded_plane(weight: Patched, size: torch.Size, source: Tensor) -> Tensor:
    found: Tensor = weight.plane(source).unflatten(0, size)
    return found


@dataclass(frozen=True, slots=True)
class _Convolve:
    """A convolution without its weights."""

    operation: Callable[..., Tensor]
    settings: Mapping[str, Any]

    def __call__(
        self, source: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1
    ) -> Tensor:
        return self.operation(
            input=source, weight=weight, bias=bias, groups=groups, **self.settings
        )


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution with its settings; weights as in the unpatched network.

    Attributes:
        transposed: weights are ``(inputs, outputs / groups, *kernel)``, not
            ``(outputs, inputs / groups, *kernel)``.
    """

    call: Call
    weight: Tensor
    bias: Tensor | None
    groups: int
    transposed: bool

    @classmethod
    def of(cls, call: Call) -> _Convolution | None:
        """Return None where weights are no parameters or there is no batch dimension."""
        weight, bias = call.get("weight"), call.get("bias")
        if not isinstance(weight, Tensor | Edited) or not isinstance(bias, Tensor | Edited | None):
            return None
        plain = weight.base if isinstance(weight, Edited) else weight
        if len(call.out.shape) != plain.dim():
            return None
        return cls(
            call,
            plain,
            bias.base if isinstance(bias, Edited) else bias,
            call.get("groups", 1),
            call.op.startswith("conv_transpose"),
        )

    @property
    def convolve(self) -> _Convolve:
        """The operation with the same stride, padding and dilation but other weights."""
        named = self.call.named.items()
        settings = {k: v for k, v in named if k not in ("input", "weight", "bias", "groups")}
        return _Convolve(self.call.operation, settings)

    @property
    def outputs(self) -> int:
        """How many output channels there are."""
        return self.weight.shape[1] * self.groups if self.transposed else self.weight.shape[0]

    @property
    def inputs(self) -> int:
        """How many input channels there are."""
        return self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups

    def of_dense(self, values: Tensor) -> Tensor:
        """Return ``(p, n, outputs, *space)`` from ``(p, n, inputs, *space)``."""
        folded = self._laid_out(values.flatten(0, 1))
        weight = self.call.constant("weight", lambda: self._laid_out(self.weight))
        out = self.convolve(folded, weight, self.bias, self.groups)
        found: Tensor = out.unflatten(0, values.shape[:2])
        return found

    def of_sparse(self, source: Sparse) -> Sparse | Dense | None:
        """Return the output for a few changed channels, None where all must be computed."""
        if source.dim != 1 or source.span != 1:
            return None
        if self.groups == self.inputs and not self.transposed:
            return self._by_channel(source)
        if self.groups > 1 or len(source.units) > MOSTLY * self.inputs:
            return None
        delta = self._laid_out(source.delta().movedim(0, 2).flatten(0, 1))  # (p * n, u, *space)
        weight = self.call.constant(("weight", source.units), lambda: self._cut(source.units))
        out = self.convolve(delta, weight, None).unflatten(0, source.values.shape[1:3])
        out += self.call.out.whole()
        return Dense(out)

    def _cut(self, units: tuple[int, ...]) -> Tensor:
        index = self.call.frame.constants.index(units)
        return self._laid_out(self.weight[index] if self.transposed else self.weight[:, index])

    def _by_channel(self, source: Sparse) -> Sparse:
        """Convolve each changed channel by itself (depthwise)."""
        each = self.outputs // self.inputs
        units = tuple(unit * each + i for unit in source.units for i in range(each))
        index = self.call.frame.constants.index(units)
        values = source.values.movedim(0, 2).flatten(0, 1)
        bias = None if self.bias is None else self.bias[index]
        out = self.convolve(values, self.weight[index], bias, len(source.units))
        out = out.unflatten(0, source.values.shape[1:3]).movedim(2, 0).contiguous()
        return Sparse(out, units, self.call.out, 1)

    def patched(self) -> list[Patched]:
        """Return the patched weights of this call."""
        found: list[Patched] = self.call.constant("patched", self._find_patched)
        return found

    def _find_patched(self) -> list[Patched]:
        weight, bias = self.call.get("weight"), self.call.get("bias")
        entries: list[Patched] = []
        if isinstance(weight, Edited):
            for column, index in zip(weight.columns, weight.indices, strict=True):
                entries.append(self._entry(column, index))
        if isinstance(bias, Edited):
            space = self.call.out.shape[2:]
            for column, (unit,) in zip(bias.columns, bias.indices, strict=True):
                entries.append(Patched(column, unit, lambda x: x.new_ones(len(x), *space)))
        return entries

    def _entry(self, column: int, index: tuple[int, ...]) -> Patched:
        one, two, *at = index
        if self.transposed:
            channel, unit = one, one // (self.inputs // self.groups) * self.weight.shape[1] + two
        else:
            group = one // (self.outputs // self.groups)
            channel, unit = group * self.weight.shape[1] + two, one
        kernel = torch.zeros(1, 1, *self.weight.shape[2:]).to(self.weight)
        kernel[(0, 0, *at)] = 1
        convolve = self.convolve

        def plane(source: Tensor) -> Tensor:
            return convolve(source[:, channel : channel + 1], kernel, None)[:, 0]

        return Patched(column, unit, plane)

    def _laid_out(self, values: Tensor) -> Tensor:
        """Return channels last where the library convolves such images faster."""
        if values.dim() == 4 and self.call.frame.constants.channels_last:  # noqa: PLR2004 - images
            return values.contiguous(memory_format=torch.channels_last)
        return values.contiguous()
