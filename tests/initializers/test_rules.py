"""Initializers: variances against theory, fans against torch and against counting."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dnnrepair.activations import find as activation
from dnnrepair.errors import ModelError, SettingError, UnknownNameError
from dnnrepair.initializers import Fans, fans_of, find, initialize, initializers, matching

DRAWN = [name for name in initializers if name not in ("orthogonal", "zero")]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_that_were_asked_for_are_there() -> None:
    wanted = "xavier_normal xavier_uniform he_normal he_uniform lecun_normal lecun_uniform"
    assert {*wanted.split(), "orthogonal", "zero"} <= set(initializers)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("gain", [None, 0.5])
def test_variances_are_those_of_theory(name: str, gain: float | None) -> None:
    layer = nn.Linear(200, 600)
    initialize(layer, find(name), gain=gain, rng=rng())
    factor = gain if gain is not None else (math.sqrt(2) if name.startswith("he") else 1.0)
    fan = 400 if name.startswith("xavier") else 200
    weight = layer.weight.detach()
    assert float(weight.var()) == pytest.approx(factor**2 / fan, rel=0.02)
    assert abs(float(weight.mean())) < 4 * factor / math.sqrt(fan * weight.numel())
    bound = factor * math.sqrt(3 / fan)
    if name.endswith("uniform"):
        assert float(weight.abs().max()) <= bound
        assert float(weight.abs().max()) > 0.999 * bound
    assert not layer.bias.any()


def test_the_same_seed_gives_the_same_weights_and_leaves_torch_alone() -> None:
    one, other = nn.Linear(3, 4), nn.Linear(3, 4)
    state = torch.random.get_rng_state()
    for layer in (one, other):
        initialize(layer, find("he"), rng=rng(7))
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(5, 7), nn.Conv1d(4, 6, 3), nn.Conv2d(4, 6, (3, 5)), nn.Conv3d(2, 3, 2)],
    ids=lambda layer: type(layer).__name__,
)
def test_plain_fans_are_those_of_torch(layer: nn.Module) -> None:
    known = nn.init._calculate_fan_in_and_fan_out(layer.get_parameter("weight"))
    found = fans_of(layer)
    assert (found.fan_in, found.fan_out) == known


CONVOLUTIONS = [
    nn.Conv2d(4, 6, 3, groups=2, padding=1),
    nn.Conv2d(4, 4, 3, groups=4),
    nn.ConvTranspose2d(4, 6, 3),
    nn.ConvTranspose2d(4, 6, 4, stride=2, groups=2),
    nn.ConvTranspose1d(3, 5, 6, stride=3),
]


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_fans_of_convolutions_are_counted(layer: nn.Conv2d) -> None:
    """With weights and inputs of 1, outputs count their inputs, and gradients their outputs."""
    with torch.no_grad():
        layer.weight.fill_(1)
    x = torch.ones(1, layer.in_channels, *[13] * (layer.weight.dim() - 2), requires_grad=True)
    out = layer(x) - (0 if layer.bias is None else layer.bias.reshape(-1, *[1] * (x.dim() - 2)))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    out = out.detach()
    inner = tuple(slice(6, 6 + s) for s in layer.stride)  # a whole period, away from borders
    assert fans_of(layer).fan_in == pytest.approx(float(out[0, 0][inner].mean()))
    assert fans_of(layer).fan_out == pytest.approx(float(gradient[0, 0][inner].mean()))


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_lecun_keeps_the_variance_of_convolutions(layer: nn.Conv2d) -> None:
    generator, squares = rng(), []
    for _ in range(400):
        initialize(layer, find("lecun_normal"), rng=generator)
        x = torch.randn(4, layer.in_channels, *[14] * (layer.weight.dim() - 2), generator=generator)
        out = layer(x).detach()
        squares.append(float(out[(..., *[slice(6, 12)] * (out.dim() - 2))].square().mean()))
    assert sum(squares) / 400 == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(
    ("layer", "gates"),
    [(nn.LSTM(5, 8), 4), (nn.GRU(5, 8), 3), (nn.RNN(5, 8), 1), (nn.GRUCell(5, 8), 3)],
    ids=lambda x: type(x).__name__,
)
def test_gates_are_drawn_each_for_itself(layer: nn.Module, gates: int) -> None:
    suffix = "" if isinstance(layer, nn.RNNCellBase) else "_l0"
    assert fans_of(layer, f"weight_ih{suffix}") == Fans(fan_in=5, fan_out=8, blocks=gates)
    assert fans_of(layer, f"weight_hh{suffix}") == Fans(fan_in=8, fan_out=8, blocks=gates)
    initialize(layer, find("orthogonal"), rng=rng())
    for gate in layer.get_parameter(f"weight_hh{suffix}").chunk(gates):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8))


def test_projected_states_attention_and_embeddings_have_fans() -> None:
    lstm = nn.LSTM(5, 8, proj_size=3)
    assert fans_of(lstm, "weight_hr_l0") == Fans(fan_in=8, fan_out=3, blocks=1)
    assert fans_of(lstm, "weight_hh_l0") == Fans(fan_in=3, fan_out=8, blocks=4)
    attention = nn.MultiheadAttention(8, 2)
    assert fans_of(attention, "in_proj_weight") == Fans(fan_in=8, fan_out=8, blocks=3)
    embedding = nn.Embedding(500, 64, padding_idx=3)
    assert fans_of(embedding) == Fans(fan_in=1, fan_out=64)
    initialize(embedding, find("lecun"), rng=rng())
    assert not embedding.weight[3].any()
    assert float(embedding(torch.arange(4, 500)).detach().var()) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("layer", [nn.Linear(6, 9), nn.Linear(9, 6), nn.Conv2d(2, 4, 3)], ids=str)
def test_orthogonal_weights_keep_lengths(layer: nn.Module) -> None:
    initialize(layer, find("orthogonal"), gain=2.0, rng=rng())
    weight = layer.get_parameter("weight").flatten(1)
    small = min(weight.shape)
    square = weight @ weight.T if weight.shape[0] == small else weight.T @ weight
    torch.testing.assert_close(square, 4 * torch.eye(small))


def test_groups_and_transposed_kernels_are_orthogonal_by_block() -> None:
    layer = nn.ConvTranspose2d(6, 8, 2, groups=2)
    initialize(layer, find("orthogonal"), rng=rng())
    for block in layer.weight.chunk(2):  # (in, out, 2, 2)
        rows = block.transpose(0, 1).flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(4))


def test_half_precision_weights_can_be_orthogonal() -> None:
    layer = nn.Linear(6, 6).half()
    initialize(layer, find("orthogonal"), rng=rng())
    weight = layer.weight.float()
    torch.testing.assert_close(weight @ weight.T, torch.eye(6), atol=5e-3, rtol=0)


def test_weights_under_weight_norm_are_set_through_it() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(200, 300))
    initialize(layer, find("he_normal"), rng=rng())
    assert float(layer.weight.detach().var()) == pytest.approx(2 / 200, rel=0.03)


def test_a_residual_branch_that_ends_in_zero_is_the_identity() -> None:
    branch = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    initialize(branch[2], find("zero"), rng=rng())
    x = torch.randn(5, 4, generator=rng())
    assert torch.equal(x + branch(x), x)


def test_each_activation_has_an_initializer_and_its_gain() -> None:
    assert matching(activation("relu")).initializer.name == "he_normal"
    assert matching(activation("relu")).gain == pytest.approx(math.sqrt(2))
    assert matching(activation("leaky_relu", negative_slope=0.2)).gain == pytest.approx(
        nn.init.calculate_gain("leaky_relu", 0.2)
    )
    assert matching(activation("tanh")).initializer.name == "xavier_normal"
    assert matching(activation("selu")).initializer.name == "lecun_normal"
    assert matching(activation("selu")).gain == pytest.approx(1)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'orthogonal'"):
        find("ortogonal")
    with pytest.raises(ModelError, match="ReLU has no weights to draw"):
        initialize(nn.ReLU(), find("he"), rng=rng())
    with pytest.raises(ModelError, match="BatchNorm1d has no weight 'weight' whose fans are known"):
        fans_of(nn.BatchNorm1d(3))
    for gain in (-1.0, math.nan, math.inf):
        with pytest.raises(SettingError, match="the gain of he_normal takes finite numbers"):
            initialize(nn.Linear(2, 2), find("he"), gain=gain, rng=rng())
