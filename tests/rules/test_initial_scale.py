"""INI002 and INI003 against networks drawn too small, too large, or for another activation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.observation import Phase
from dnnrepair.rules.initial_mismatch import InitialMismatch
from dnnrepair.rules.initial_scale import InitialScale
from dnnrepair.signal import gaussian_slope
from dnnrepair.sites import Site

GAINS = {nn.ReLU: math.sqrt(2), nn.Tanh: 5 / 3, nn.SELU: 1.0}


def chain(depth: int, activation: type[nn.Module], gain: float | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        linear = nn.Linear(64, 64)
        if gain is not None:
            nn.init.normal_(linear.weight, std=gain / 8)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def inputs() -> Tensor:
    return torch.randn(512, 64, generator=torch.Generator().manual_seed(1))


def judged(see: Any, say: Any, model: nn.Module, rule: Any = InitialScale) -> list[Any]:
    return list(say(rule(), see(model, inputs(), rule=rule, phase=Phase.INIT))[0])


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize(("depth", "scale"), [(4, 0.05), (5, 0.2), (8, 0.2), (8, 3.0), (4, 10.0)])
def test_scaled_initial_weights(
    see: Any, say: Any, activation: type[nn.Module], depth: int, scale: float
) -> None:
    gain = GAINS[activation]
    assert judged(see, say, chain(depth, activation, gain)) == []
    model = chain(depth, activation, gain * scale)
    (found,) = judged(see, say, model)
    assert found.severity is Severity.WARNING
    exec(found.remedies[0].code, {"model": model})
    assert judged(see, say, model) == []


def test_the_product_is_the_growth_of_gradients(see: Any, say: Any) -> None:
    model = chain(6, nn.ReLU, 0.5)
    (found,) = judged(see, say, model)
    x = inputs()
    values = [x.requires_grad_()]
    for layer in model:
        values.append(layer(values[-1]))
    noise = torch.randn(512, 64, generator=torch.Generator().manual_seed(2))
    (back,) = torch.autograd.grad(values[-2], x, noise)
    growth = float(back.square().mean() / noise.square().mean())
    assert found.measured == pytest.approx(growth, rel=0.5)


@pytest.mark.parametrize(("depth", "said"), [(3, 0), (4, 0), (6, 1), (8, 1)])
def test_pytorch_default_is_too_small_from_six_relu_layers_on(
    see: Any, say: Any, depth: int, said: int
) -> None:
    assert len(judged(see, say, chain(depth, nn.ReLU))) == said


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.GELU, nn.ELU, nn.LeakyReLU, nn.SiLU])
def test_default_shallow_networks_are_healthy(
    see: Any, say: Any, activation: type[nn.Module]
) -> None:
    assert judged(see, say, chain(3, activation)) == []


def test_normalization_makes_the_scale_harmless(see: Any, say: Any) -> None:
    model = nn.Sequential(
        *(part for _ in range(6) for part in (nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU())),
        nn.Linear(64, 10),
    )
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(0.05)
    assert judged(see, say, model) == []


def test_trained_networks_are_skipped(see: Any, say: Any) -> None:
    for rule in (InitialScale, InitialMismatch):
        findings, skips = say(rule(), see(chain(8, nn.ReLU), inputs(), rule=rule))
        assert findings == []
        assert "trained" in skips[0].reason


@pytest.mark.parametrize("op", ["relu", "leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0])
def test_gaussian_slopes_agree_with_sampling(op: str, variance: float) -> None:
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(3)).double()
    z = (z * math.sqrt(variance)).requires_grad_()
    function = getattr(torch, op, None) or getattr(nn.functional, op)
    (slope,) = torch.autograd.grad(function(z).sum(), z)
    found = gaussian_slope(Site(name="a", op=op), variance)
    assert found == pytest.approx(float(slope.square().mean()), rel=0.02)


def xavier(model: nn.Sequential) -> nn.Sequential:
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
    return model


def kaiming(model: nn.Sequential) -> nn.Sequential:
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return model


@pytest.mark.parametrize(
    ("draw", "activation", "depth", "said"),
    [
        (xavier, nn.ReLU, 10, 1),
        (xavier, nn.ReLU, 3, 0),
        (kaiming, nn.ReLU, 10, 0),
        (kaiming, nn.Tanh, 8, 1),
        (xavier, nn.Tanh, 8, 0),
        (kaiming, nn.SELU, 3, 1),
        (xavier, nn.SELU, 3, 0),
    ],
)
def test_initializers_and_activations(
    see: Any, say: Any, draw: Any, activation: type[nn.Module], depth: int, said: int
) -> None:
    model = draw(chain(depth, activation))
    found = judged(see, say, model, InitialMismatch)
    assert len(found) == said
    if said:
        exec(found[0].remedies[0].code, {"model": model})
        assert judged(see, say, model, InitialMismatch) == []
