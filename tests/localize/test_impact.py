"""Gradient loss and forward impact of every kind of layer against their definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.bench.reference_cnns import initialized
from tests.localize.conftest import measured, put, samples_for
from tests.localize.oracle import forward_impact, gradient_loss

if TYPE_CHECKING:
    from collections.abc import Callable


def conv(layer: Callable[[], nn.Module], shape: tuple[int, ...]) -> Callable[[], nn.Module]:
    """Return what makes a network of one layer that is no head, and a head."""

    def make() -> nn.Module:
        first = layer()
        width = first(torch.zeros(1, *shape)).flatten(1).shape[1]
        return nn.Sequential(first, nn.Tanh(), nn.Flatten(), nn.Linear(width, 3))

    return make


class Recurrent(nn.Module):
    """A recurrent layer whose states are all read."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(3, 4, batch_first=True, **options)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(x)[0].square().mean(1))
        return y


LAYERS: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "linear": ((4,), conv(lambda: nn.Linear(4, 5), (4,))),
    "positions": ((2, 3, 4), conv(lambda: nn.Linear(4, 5), (2, 3, 4))),
    "conv1d": ((2, 7), conv(lambda: nn.Conv1d(2, 4, 3, 2, 1), (2, 7))),
    "conv2d": ((2, 5, 4), conv(lambda: nn.Conv2d(2, 3, (3, 2), (2, 1), (1, 0)), (2, 5, 4))),
    "dilated": (
        (2, 7, 6),
        conv(lambda: nn.Conv2d(2, 3, 2, dilation=(3, 2), bias=False), (2, 7, 6)),
    ),
    "groups": ((4, 4, 4), conv(lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 4, 4))),
    "same": ((2, 5, 4), conv(lambda: nn.Conv2d(2, 2, 3, padding="same"), (2, 5, 4))),
    "conv3d": ((2, 3, 3, 2), conv(lambda: nn.Conv3d(2, 2, 2, padding=(0, 1, 0)), (2, 3, 3, 2))),
    "transposed": (
        (2, 3, 3),
        conv(lambda: nn.ConvTranspose2d(2, 4, 3, 2, 1, output_padding=1, groups=2), (2, 3, 3)),
    ),
}


def is_close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found, wanted, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("published", [False, True])
def test_layers_agree_with_their_definition(name: str, *, published: bool) -> None:
    shape, make = LAYERS[name]
    samples = samples_for(shape)
    net = initialized(make, 0)
    gradient, impact = measured(put(net, samples), samples, batch_size=2, published=published)
    assert samples.targets is not None
    wanted = gradient_loss(net, samples.inputs[0], samples.targets)
    assert all(is_close(gradient[tensor], wanted[tensor]) for tensor in gradient)
    signed = published and "onv" in type(net.get_submodule("0")).__name__
    found = forward_impact(net, samples.inputs[0], "0", pooled=signed, signed=signed)["weight"]
    assert float(found.abs().max()) > 0
    assert is_close(impact["0.weight"], found)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("published", [False, True])
def test_recurrent_layers_agree_with_their_definition(kind: str, *, published: bool) -> None:
    samples = samples_for((6, 3))
    net = initialized(lambda: Recurrent(kind), 0)
    gradient, impact = measured(put(net, samples), samples, batch_size=2, published=published)
    assert samples.targets is not None
    wanted = gradient_loss(net, samples.inputs[0], samples.targets)
    assert all(is_close(gradient[tensor], wanted[tensor]) for tensor in gradient)
    found = forward_impact(net, samples.inputs[0], "rnn", pooled=published)
    steps = 6 if published else 1  # as published: a mean over steps
    for name in ("weight_ih_l0", "weight_hh_l0"):
        assert is_close(impact[f"rnn.{name}"], found[name] / steps)


def test_the_published_convolution_has_its_published_closed_form() -> None:
    """``w * einsum('hwcab,ohw->abco', mean_n(unfold(x)), G / S)``, with torch's order of axes."""
    samples = samples_for((2, 5, 4))
    net = initialized(conv(lambda: nn.Conv2d(2, 3, 3), (2, 5, 4)), 0)
    _, impact = measured(put(net, samples), samples, published=True)
    first, *rest = net.children()
    weight = net.get_parameter("0.weight").detach()
    x = samples.inputs[0]
    out = first(x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(nn.Sequential(*rest)(out).sum(), out)
    behind = (slope.abs() / slope.abs().sum((1, 2, 3), keepdim=True)).mean(0)
    windows = x.unfold(2, 3, 1).unfold(3, 3, 1)  # (n, c, h, w, a, b)
    sums = torch.einsum("nchwab,ocab->ohw", windows.abs(), weight.abs())
    wanted = weight * torch.einsum("chwab,ohw->ocab", windows.mean(0), behind / sums)
    assert is_close(impact["0.weight"], wanted)


class Layers(nn.Module):
    """Two recurrent layers on top of each other, or in both directions, as modules of their own."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.low = getattr(nn, kind)(3, 4, batch_first=True)
        self.back = getattr(nn, kind)(3, 4, batch_first=True)
        self.high = getattr(nn, kind)(8, 4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        low = torch.cat([self.low(x)[0], self.back(x.flip(1))[0].flip(1)], -1)
        y: Tensor = self.head(self.high(low)[0].square().mean(1))
        return y


class Stacked(nn.Module):
    """The same in one module, whose second layer has an idle direction."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(3, 4, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(x)[0][..., :4].square().mean(1))
        return y


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_stacked_and_bidirectional_layers_are_told_apart(kind: str) -> None:
    samples = samples_for((5, 3))
    one, other = initialized(lambda: Stacked(kind), 0), initialized(lambda: Layers(kind), 1)
    parts = {"low": "l0", "back": "l0_reverse", "high": "l1"}
    for part, suffix in parts.items():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            source = getattr(one.rnn, f"{name}_{suffix}")
            getattr(other.get_submodule(part), f"{name}_l0").data.copy_(source.data)
    other.head.load_state_dict(one.head.state_dict())
    together = measured(put(one, samples), samples)
    apart = measured(put(other, samples), samples)
    for found, wanted in zip(together, apart, strict=True):
        for part, suffix in parts.items():
            for name in ("weight_ih", "weight_hh"):
                assert is_close(found[f"rnn.{name}_{suffix}"], wanted[f"{part}.{name}_l0"])


class Cells(nn.Module):
    """A recurrent layer written as a loop over a cell."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = getattr(nn, f"{kind}Cell")(3, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        y: Tensor = self.head(state[0] if isinstance(state, tuple) else state)
        return y


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_cells_are_layers_of_one_step(kind: str) -> None:
    class Layer(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(self.rnn(x)[0][:, -1])
            return y

    samples = samples_for((1, 3))
    one, other = initialized(lambda: Cells(kind), 0), initialized(lambda: Layer(kind), 1)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(other.rnn, f"{name}_l0").data.copy_(getattr(one.cell, name).data)
    other.head.load_state_dict(one.head.state_dict())
    found, wanted = measured(put(one, samples), samples), measured(put(other, samples), samples)
    for a, b in zip(found, wanted, strict=True):
        assert is_close(a["cell.weight_ih"], b["rnn.weight_ih_l0"])
        assert is_close(a["cell.weight_hh"], b["rnn.weight_hh_l0"])


class Attention(nn.Module):
    """Multi-head attention written with linear layers, samples first."""

    def __init__(self, cuts: tuple[int, ...]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(4, width) for width in cuts)
        self.out = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        read = (x, x.square())[: len(self.projections)]
        whole = torch.cat([f(y) for f, y in zip(self.projections, read, strict=True)], -1)
        q, k, v = (y.unflatten(-1, (2, 2)).transpose(1, 2) for y in whole.chunk(3, -1))
        weights = (q @ k.mT / 2**0.5).softmax(-1)
        y: Tensor = self.head(self.out((weights @ v).transpose(1, 2).flatten(2)).tanh().mean(1))
        return y


class Packed(nn.Module):
    """The same with torch's module, whose projections are packed, tokens first."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        other = self.other(x)
        found = self.attention(x, other, other, need_weights=False)[0]
        y: Tensor = self.head(found.tanh().mean(1))
        return y

    def other(self, x: Tensor) -> Tensor:
        return x


class CrossPacked(Packed):
    """Keys and values are computed from something else than queries."""

    def other(self, x: Tensor) -> Tensor:
        return x.square()


@pytest.mark.parametrize(("packed", "cuts"), [(Packed, (12,)), (CrossPacked, (4, 8))])
def test_packed_attention_is_as_many_linear_layers_as_calls(
    packed: type[Packed], cuts: tuple[int, ...]
) -> None:
    samples = samples_for((3, 4))
    one, other = initialized(packed, 0), initialized(lambda: Attention(cuts), 1)
    source = one.attention
    for layer, rows in zip(other.projections, source.in_proj_weight.split(cuts), strict=True):
        layer.get_parameter("weight").data.copy_(rows.data)
    for layer, part in zip(other.projections, source.in_proj_bias.split(cuts), strict=True):
        layer.get_parameter("bias").data.copy_(part.data)
    other.out.load_state_dict(source.out_proj.state_dict())
    other.head.load_state_dict(one.head.state_dict())
    found, wanted = measured(put(one, samples), samples), measured(put(other, samples), samples)
    for a, b in zip(found, wanted, strict=True):
        blocks = torch.cat([b[f"projections.{i}.weight"] for i in range(len(cuts))])
        assert is_close(a["attention.in_proj_weight"], blocks)
        assert is_close(a["attention.out_proj.weight"], b["out.weight"])


class Shared(nn.Module):
    """One layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.mix(self.mix(x).tanh()).tanh())
        return y


class Twice(nn.Module):
    """The same with two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.second(self.first(x).tanh()).tanh())
        return y


def test_the_impacts_of_a_layer_used_twice_add_up() -> None:
    samples = samples_for((4,))
    one, other = initialized(Shared, 0), initialized(Twice, 1)
    for part in (other.first, other.second):
        part.load_state_dict(one.mix.state_dict())
    other.head.load_state_dict(one.head.state_dict())
    _, impact = measured(put(one, samples), samples)
    _, wanted = measured(put(other, samples), samples)
    assert is_close(impact["mix.weight"], wanted["first.weight"] + wanted["second.weight"])


class Product(nn.Module):
    """A linear layer written as a product with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


def test_a_product_with_a_parameter_is_a_linear_layer() -> None:
    samples = samples_for((4,))
    one = initialized(Product, 0)
    other = nn.Sequential(nn.Linear(4, 3, bias=False)).double()
    other.get_parameter("0.weight").data.copy_(one.matrix.data.mT)
    found, wanted = measured(put(one, samples), samples), measured(put(other, samples), samples)
    for a, b in zip(found, wanted, strict=True):
        assert is_close(a["matrix"], b["0.weight"].mT)
