"""Modules: what they compute, how they are exported, and what their printed source makes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from dnnrepair.activations import Activation, activations, find
from dnnrepair.activations.activation import Constructor
from dnnrepair.activations.ulu import sharpnesses
from dnnrepair.errors import SettingError

BOUNDED = {"pann", "polynomial"}  # of no use outside of their range
OVERFLOWING = {"relu_squared", "xielu", "xiprelu", "swiglu"}  # beyond 255 in float16
SEVERAL = {"lslu", "series", "ensemble"}  # have several numbers for each channel or layer
CHANNELS = 4


def inputs(activation: Activation, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, CHANNELS * activation.inputs, 2, 2, generator=rng, dtype=dtype)
    return x.clamp(-3.9, 3.9)


@pytest.mark.parametrize("channels", [None, CHANNELS])
@pytest.mark.parametrize("name", list(activations))
def test_the_module_computes_the_function(name: str, channels: int | None) -> None:
    activation = find(name)
    module = activation.module(channels, torch.float64).eval()
    x = inputs(activation, torch.float64)
    torch.testing.assert_close(module(x), activation.function(x), rtol=1e-12, atol=1e-12)
    learned = {p.numel() for p in module.parameters()}
    if name not in SEVERAL:
        assert learned <= {channels or 1}
    assert bool(learned) == bool(activation.learnable)


@pytest.mark.parametrize("name", list(activations))
def test_gradients_are_right(name: str) -> None:
    activation = find(name)
    if name == "lslu":
        activation = find(name, omega=0.3)  # at the start, its stages stand on their kinks
    module = activation.module(CHANNELS, torch.float64).eval()
    x = inputs(activation, torch.float64)[:2, :, :1, :1].requires_grad_()
    parameters = tuple(module.parameters())

    def run(x: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = module(x)
        return out

    assert torch.autograd.gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("name", list(activations))
def test_it_goes_into_the_graph_form_and_into_torchscript(name: str) -> None:
    activation = find(name)
    module, x = activation.module(CHANNELS).eval(), inputs(activation)
    batch = torch.export.Dim("batch", min=2)
    graph = torch.export.export(module, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(graph(x[:2]), module(x[:2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
        scripted: Any = torch.jit.script(module)
        traced: Any = torch.jit.trace(module, x)
    assert torch.equal(scripted(x), module(x))
    assert torch.equal(traced(x), module(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", sorted(set(activations) - BOUNDED))
def test_extreme_inputs_give_finite_values_and_gradients(name: str, dtype: torch.dtype) -> None:
    activation = find(name)
    far = 250.0 if name in OVERFLOWING and dtype is torch.float16 else 1e4
    x = torch.tensor([0.0, -0.0, 1e-4, 1.0, -1.0, 30.0, -30.0, 90.0, -90.0, far, -far])
    x = x.to(dtype)[:, None].repeat(1, activation.inputs).requires_grad_()
    module = activation.module(None).to(dtype).eval()
    y = module(x)
    assert y.dtype is dtype
    assert y.isfinite().all()
    for row in range(len(x)):
        module.zero_grad()
        x.grad = None
        module(x)[row].sum().backward()
        assert x.grad is not None
        grads: Any = (x.grad, *(p.grad for p in module.parameters()))
        assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize("name", list(activations))
def test_the_printed_source_makes_the_same_module_without_dnnrepair(name: str) -> None:
    activation = find(name)
    source = activation.source(CHANNELS)
    assert "dnnrepair" not in source
    scope: dict[str, torch.nn.Module] = {}
    exec(compile(source, "activation.py", "exec"), scope)
    made, original = scope["activation"].eval(), activation.module(CHANNELS).eval()
    made.load_state_dict(original.state_dict())
    x = inputs(activation)
    assert torch.equal(made(x), original(x))


@pytest.mark.parametrize("name", ["lslu", "series"])
def test_spatial_ones_need_channels_and_start_as_relu(name: str) -> None:
    activation = find(name, spatial=True)
    with pytest.raises(SettingError, match="kernel for each channel; say how many there are"):
        activation.module()
    module = activation.module(CHANNELS, torch.float64).eval()
    x = inputs(activation, torch.float64)
    torch.testing.assert_close(module(x), x.relu(), rtol=1e-14, atol=1e-14)
    scope: dict[str, torch.nn.Module] = {}
    exec(activation.source(CHANNELS), scope)
    torch.testing.assert_close(scope["activation"].double().eval()(x), x.relu())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted: Any = torch.jit.script(module)
    assert torch.equal(scripted(x), module(x))
    assert find(name).suited_to(images=False) == activation.suited_to(images=False) == find(name)
    assert find("taaf").with_settings(base=activation).suited_to(images=False).settings[
        "base"
    ] == find(name)


def drawn(module: torch.nn.Module) -> torch.nn.Module:
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in [*module.parameters(), *module.buffers()]:
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=rng).to(value) + 0.1)
    return module.eval()


def test_the_spatial_series_is_the_sum_over_neighbors_written_out() -> None:
    module = drawn(find("series", spatial=True, terms=2).module(2, torch.float64))
    x = torch.randn(2, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    held = dict(module.state_dict())
    found = module(x).detach()
    for sample, channel, row, column in [(0, 0, 0, 0), (1, 1, 2, 3), (0, 1, 4, 1), (1, 0, 1, 2)]:
        total = 0.0
        for i in range(-2, 3):
            for j in range(-2, 3):
                if 0 <= row + i < 5 and 0 <= column + j < 4:
                    pixel = max(0.0, float(x[sample, channel, row + i, column + j]))
                    total += float(held["neighbors.conv.weight"][channel, 0, i + 2, j + 2]) * pixel
        mean, var = (float(held[f"neighbors.norm.running_{k}"][channel]) for k in ("mean", "var"))
        normed = (total - mean) / (var + 1e-6) ** 0.5
        weight, bias = (float(held[f"neighbors.norm.{k}"][channel]) for k in ("weight", "bias"))
        assert float(found[sample, channel, row, column]) == pytest.approx(weight * normed + bias)


def test_the_plain_series_is_a_sum_whose_terms_can_all_learn() -> None:
    module = find("series", terms=4).module(CHANNELS, torch.float64)
    assert module.get_parameter("shift")[:, 0].tolist() == [0, 1, -1, 2]
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(100, CHANNELS, 2, 2, generator=rng, dtype=torch.float64)
    module(x).square().sum().backward()
    grad = module.get_parameter("scale").grad
    assert grad is not None
    assert grad.abs().min() > 0
    assert (grad[:, 0].diff().abs() > 1e-3).all()  # terms that learned alike would stay alike
    drawn(module)
    a, b = (module.get_parameter(key).detach() for key in ("scale", "shift"))
    expected = sum(a[i, 2] * (x[:, 2] + b[i, 2]).clamp(min=0) for i in range(4))
    torch.testing.assert_close(module(x).detach()[:, 2], expected)


def test_definitions_are_named_once_and_can_be_merged() -> None:
    swish, prelu = find("swish").constructor(4), find("prelu").constructor(4)
    both = dict.fromkeys([*swish.definitions, *swish.definitions, *prelu.definitions])
    assert len(both) == 3
    assert prelu.expression == "nn.PReLU(num_parameters=4, init=0.25)"
    assert isinstance(swish, Constructor)
    assert swish.expression == "Swish(channels=4, beta=1.0)"


def test_an_ensemble_holds_activations_with_settings_and_parameters() -> None:
    activation = find("ensemble", others="swish+xielu+leaky_relu", first=0.4, rest=0.2)
    module = activation.module(CHANNELS, torch.float64).eval()
    x = inputs(activation, torch.float64)
    torch.testing.assert_close(module(x), activation.function(x), rtol=1e-12, atol=1e-12)
    source = activation.source(CHANNELS)
    assert source.count("def per_channel(") == 1
    scope: dict[str, torch.nn.Module] = {}
    exec(compile(source, "activation.py", "exec"), scope)
    made = scope["activation"].double().eval()
    made.load_state_dict(drawn(module).state_dict())
    assert torch.equal(made(x), module(x))


def test_the_sharpnesses_that_an_aulu_learned_are_reported() -> None:
    module = find("aulu", a1=0.5, a2=2.0).module(CHANNELS, torch.float64)
    found = sharpnesses(module)
    assert found == pytest.approx({"a1": 0.5, "a2": 2.0, "log(a2/a1)": 1.3862943611})


def test_rrelu_is_random_only_while_training() -> None:
    module = find("rrelu").module()
    x = -torch.ones(1000)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = -module.train()(x)
    assert 1 / 8 <= float(drawn.min()) < 0.14
    assert 0.31 < float(drawn.max()) <= 1 / 3
    assert module.eval()(x).tolist() == pytest.approx([-11 / 48] * 1000)
