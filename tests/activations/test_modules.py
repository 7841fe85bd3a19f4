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
    if name != "lslu":
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


def test_spatial_lslu_needs_channels_and_starts_as_relu() -> None:
    activation = find("lslu", spatial=True)
    with pytest.raises(SettingError, match="kernel for each channel; say how many"):
        activation.module()
    module = activation.module(CHANNELS, torch.float64).eval()
    x = inputs(activation, torch.float64)
    torch.testing.assert_close(module(x), x.relu(), rtol=1e-14, atol=1e-14)
    scope: dict[str, torch.nn.Module] = {}
    exec(activation.source(CHANNELS), scope)
    torch.testing.assert_close(scope["activation"].double().eval()(x), x.relu())


def test_definitions_are_named_once_and_can_be_merged() -> None:
    swish, prelu = find("swish").constructor(4), find("prelu").constructor(4)
    both = dict.fromkeys([*swish.definitions, *swish.definitions, *prelu.definitions])
    assert len(both) == 3
    assert prelu.expression == "nn.PReLU(num_parameters=4, init=0.25)"
    assert isinstance(swish, Constructor)
    assert swish.expression == "Swish(channels=4, beta=1.0)"


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
