"""How many inputs each output of a layer sums, and how many outputs each input reaches."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from torch import nn

from dnnrepair.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Recurrent = nn.RNNBase | nn.RNNCellBase
Embedding = nn.Embedding | nn.EmbeddingBag


@dataclass(frozen=True, slots=True, kw_only=True)
class Fans:
    """What the variance of a weight depends on.

    Attributes:
        fan_in: inputs that one output sums.
        fan_out: outputs that one input reaches.
        blocks: matrices that lie in the weight one after another along its first dimension, such as
            gates or groups; each is drawn by itself.
        inputs_first: the first dimension of the weight counts inputs, as in a transposed
            convolution.
    """

    fan_in: float
    fan_out: float
    blocks: int = 1
    inputs_first: bool = False


def weights_of(layer: nn.Module) -> dict[str, Tensor]:
    """Return the weights of one layer by name; without biases, empty if it is no known layer.

    Gates of recurrent layers and the three projections of attention lie in one weight.
    """
    if isinstance(layer, nn.Linear | Convolution | Transposed | Embedding):
        return {"weight": layer.weight}
    if isinstance(layer, nn.Bilinear):
        return {"weight": layer.weight}
    if isinstance(layer, nn.MultiheadAttention):
        names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
        return {name: value for name in names if (value := getattr(layer, name)) is not None}
    if isinstance(layer, Recurrent):
        return {n: p for n, p in layer.named_parameters(recurse=False) if n.startswith("weight")}
    return {}


def fans_of(layer: nn.Module, name: str = "weight") -> Fans:
    """Return the fans of one weight of a layer.

    A linear layer: its features. A convolution: channels of one group times the kernel's area. A
    transposed one: the same the other way round, where a stride s leaves 1/s of the kernel on each
    output, on average. A recurrent layer: of one gate. An embedding: one row is read at a time, so
    that fan_in is 1 and a gain of 1 gives vectors of unit variance.

    Raises:
        ModelError: if the layer is of no known kind.
    """
    found = _fans(layer, name)
    if found is None:
        message = f"{type(layer).__name__} has no weight {name!r} whose fans are known; give the "
        message += "name of a linear, convolutional, recurrent, attention or embedding layer"
        raise ModelError(message)
    return found


def _fans(layer: nn.Module, name: str) -> Fans | None:
    weight = weights_of(layer).get(name)
    if weight is None:
        return None
    rows, columns = weight.shape[0], prod(weight.shape[1:])
    if isinstance(layer, Embedding):
        return Fans(fan_in=1, fan_out=columns)
    if isinstance(layer, Transposed):
        return _transposed(layer)
    if isinstance(layer, Convolution):
        area = prod(weight.shape[2:])
        out = rows // layer.groups * area
        return Fans(fan_in=columns, fan_out=out, blocks=layer.groups)
    blocks = _blocks(layer, name)
    return Fans(fan_in=columns, fan_out=rows // blocks, blocks=blocks)


def _transposed(layer: Transposed) -> Fans:
    inputs, outputs = layer.weight.shape[:2]  # of all groups, of one group
    area, steps = prod(layer.weight.shape[2:]), prod(layer.stride)
    return Fans(
        fan_in=inputs / layer.groups * area / steps,
        fan_out=outputs * area,
        blocks=layer.groups,
        inputs_first=True,
    )


def _blocks(layer: nn.Module, name: str) -> int:
    if isinstance(layer, nn.MultiheadAttention):
        return 3 if name == "in_proj_weight" else 1
    if isinstance(layer, Recurrent) and not name.startswith("weight_hr"):  # hr: a projection
        return int(layer.get_parameter(name).shape[0]) // int(layer.hidden_size)
    return 1
