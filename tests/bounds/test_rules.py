"""Each rule encloses what the operation gives at points of its argument's zonotope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnrepair.bounds.rule import UnboundedError
from dnnrepair.bounds.zonotope import Zonotope, as_zonotope

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

aten = torch.ops.aten

ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "relu": aten.relu,
    "relu6": aten.relu6,
    "leaky_relu": lambda x: aten.leaky_relu(x, 0.2),
    "steep leaky_relu": lambda x: aten.leaky_relu(x, 1.7),
    "prelu": lambda x: aten.prelu(x, torch.tensor([0.3, -0.4, 2.0], dtype=torch.float64)),
    "elu": lambda x: aten.elu(x, 0.7),
    "celu": lambda x: aten.celu(x, 0.5),
    "selu": aten.selu,
    "sigmoid": aten.sigmoid,
    "tanh": aten.tanh,
    "hardtanh": aten.hardtanh,
    "hardsigmoid": aten.hardsigmoid,
    "softplus": lambda x: aten.softplus(x, 2.0),
    "log_sigmoid": aten.log_sigmoid,
    "clamp": lambda x: aten.clamp(x, -0.3, 1.2),
    "clamp_min": lambda x: aten.clamp_min(x, 0.4),
    "abs": aten.abs,
    "neg": aten.neg,
    "exp": aten.exp,
    "silu": aten.silu,
    "gelu": aten.gelu,
    "tanh gelu": lambda x: aten.gelu(x, approximate="tanh"),
    "mish": aten.mish,
    "hardswish": aten.hardswish,
    "square": aten.square,
    "root": lambda x: aten.sqrt(aten.exp(x)),
    "log": lambda x: aten.log(aten.add(aten.exp(x), 0.1)),
    "reciprocal": lambda x: aten.reciprocal(aten.add(aten.exp(x), 0.5)),
    "negative reciprocal": lambda x: aten.reciprocal(aten.sub(-0.5, aten.exp(x))),
    "product": lambda x: aten.mul(x, aten.sigmoid(x)),
    "quotient": lambda x: aten.div(x, aten.add(aten.exp(x), 1.0)),
    "where": lambda x: aten.where(torch.tensor([True, False, True, False, False, True]), x, 2.0),
}
MIXING: dict[str, Callable[[Any], Any]] = {
    "max_pool1d": lambda x: aten.max_pool1d(x, 3, 2, 1),
    "dilated max_pool1d": lambda x: aten.max_pool1d(x, 2, 1, 1, 2, True),
    "max_pool2d": lambda x: aten.max_pool2d(x, 2, [2, 1]),
    "adaptive_max_pool2d": lambda x: aten.adaptive_max_pool2d(x, [2, 4])[0],
    "avg_pool2d": lambda x: aten.avg_pool2d(x, 2, 1, 1),
    "adaptive_avg_pool2d": lambda x: aten.adaptive_avg_pool2d(x, [2, 3]),
    "mean": lambda x: aten.mean(x, [-1], True),
    "softmax": lambda x: aten.softmax(x, -1),
    "log_softmax": lambda x: aten.log_softmax(x, -1),
    "layer_norm": lambda x: aten.layer_norm(x, [6], torch.arange(6.0, dtype=torch.float64)),
    "rms_norm": lambda x: aten.rms_norm(x, [6], None, 0.1),
    "group_norm": lambda x: aten.group_norm(x, 1, None, None),
    "attention": lambda x: aten.scaled_dot_product_attention(x, aten.sigmoid(x), x),
    "matmul": lambda x: aten.matmul(x, aten.transpose(x, -1, -2)),
    "cat": lambda x: aten.cat([x, aten.relu(x), torch.ones_like(x.center if _is(x) else x)], 1),
    "stack and select": lambda x: aten.select(aten.stack([aten.tanh(x), x], 1), 1, 0),
    "chunk": lambda x: aten.chunk(x, 2, -1)[1],
    "pad": lambda x: aten.pad(x, [1, 2], "constant", 3.0),
    "view": lambda x: aten.view(x, [-1, 3]),
    "flip": lambda x: aten.flip(x, [-1]),
}


def _is(x: object) -> bool:
    return isinstance(x, Zonotope)


def zonotope(seed: int, spread: float) -> Zonotope:
    """Return a random zonotope of 3 symbols, some values of which are exact."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    moving = (draw(2, 3, 6) > -0.5).double()
    slopes = spread * draw(3, 2, 3, 6) * moving
    return Zonotope(2 * draw(2, 3, 6), slopes, 0.3 * spread * draw(2, 3, 6).abs() * moving)


def members(x: Zonotope, count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return symbols and values; corners of the zonotope and points within."""
    rng = torch.Generator().manual_seed(seed)
    found = []
    for place in range(count):
        shapes = (len(x.slopes),), x.shape
        drawn = [2 * torch.rand(*s, generator=rng, dtype=torch.float64) - 1 for s in shapes]
        symbols, rest = (d.sign() if place % 2 else d for d in drawn)
        value = x.center + torch.einsum("k,k...->...", symbols, x.slopes) + rest * x.radius
        found.append((symbols, value))
    return found


def check(function: Callable[[Any], Any], seed: int, spread: float) -> None:
    x = zonotope(seed, spread)
    found = as_zonotope(function(x))
    for symbols, value in members(x, 20, seed):
        wanted = function(value)
        rest = wanted - found.center - torch.einsum("k,k...->...", symbols, found.slopes)
        room = 1e-9 * (1 + wanted.abs())
        inside = (rest.abs() <= found.radius + room) | ~torch.isfinite(found.radius)
        assert inside.all(), float((rest.abs() - found.radius).max())


@pytest.mark.parametrize("name", ELEMENTWISE)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**20), spread=st.sampled_from([1e-6, 0.1, 1.0, 4.0]))
def test_functions_are_enclosed(name: str, seed: int, spread: float) -> None:
    check(ELEMENTWISE[name], seed, spread)


@pytest.mark.parametrize("name", MIXING)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**20), spread=st.sampled_from([1e-6, 0.02, 0.3, 2.0]))
def test_what_mixes_values_is_enclosed(name: str, seed: int, spread: float) -> None:
    check(MIXING[name], seed, spread)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *MIXING])
def test_bounds_are_tight_for_narrow_zonotopes(name: str) -> None:
    x = zonotope(3, 1e-5)
    found = as_zonotope((ELEMENTWISE | MIXING)[name](x))
    assert float(found.spread.nanmedian()) < 1e-3
    assert not found.spread.isnan().any()


@pytest.mark.parametrize("name", [*ELEMENTWISE, *MIXING])
def test_what_does_not_change_stays_exact(name: str) -> None:
    x = zonotope(5, 0.0)
    function = (ELEMENTWISE | MIXING)[name]
    found = as_zonotope(function(x))
    torch.testing.assert_close(found.center, function(x.center))
    assert float(found.spread.max()) < 1e-12


def test_opposite_changes_cancel() -> None:
    x = zonotope(1, 2.0)
    exact = Zonotope(x.center, x.slopes, torch.zeros_like(x.center))
    assert float(as_zonotope(aten.sub(exact, exact)).spread.max()) == 0


def test_a_relu_is_enclosed_by_the_smallest_parallelogram() -> None:
    x = Zonotope(torch.tensor([0.5]), torch.tensor([[1.5]]), torch.tensor([0.0]))  # [-1, 2]
    found = as_zonotope(aten.relu(x))
    assert torch.allclose(found.slopes, torch.tensor([[1.0]]))  # chord 2/3 of 1.5
    assert torch.allclose(found.radius, torch.tensor([1 / 3]))  # half of -L U / (U - L)


def test_an_operation_without_a_rule_says_so() -> None:
    with pytest.raises(UnboundedError, match=r"no interval rule for aten\.cumprod"):
        aten.cumprod(zonotope(0, 1.0), 1)
    x = zonotope(0, 1.0)
    with pytest.raises(UnboundedError, match="mask"):
        aten.scaled_dot_product_attention(x, x, x, None, 0.0, True)
    with pytest.raises(UnboundedError, match="training"):
        aten.dropout(zonotope(0, 1.0), 0.5, True)
    with pytest.raises(UnboundedError, match="number format"):
        aten.to(zonotope(0, 1.0), torch.float16)


def test_values_that_are_no_numbers_are_not_hidden() -> None:
    x = zonotope(0, 0.1)
    x.center[0, 0, 0] = torch.nan
    for name in ("relu", "tanh", "silu", "max_pool1d"):
        assert as_zonotope((ELEMENTWISE | MIXING)[name](x)).spread.isnan().any()
