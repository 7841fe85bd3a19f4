"""Gradients against plain backward passes of the module itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.bits import digest
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.observe import observe
from dnnrepair.progress import silent
from dnnrepair.subject import subject_of


def seen_gradients(module: nn.Module, x: Any, y: Any) -> dict[str, Gradient]:
    found = observe(
        subject_of(module.eval(), (x, y)),
        frozenset({Gradient}),
        seed=0,
        batch_size=128,
        progress=silent,
    )
    return dict(found.of(Gradient))


def data(count: int, *shape: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(count, *shape, generator=rng), torch.randint(0, 3, (count,), generator=rng)


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.drop(F.relu(self.norm(self.conv(x))).flatten(1)))


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(4, 6, batch_first=True)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.cell(x)[0][:, -1])


@pytest.mark.parametrize(
    ("make", "shape"), [(Normalized, (1, 6, 6)), (Reader, (5, 4))], ids=["norm", "gru"]
)
def test_norms_are_those_of_backward_in_evaluation_mode(
    make: type[nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    module, (x, y) = make().eval(), data(100, *shape)
    before = digest(module.state_dict())
    found = seen_gradients(module, x, y)
    assert digest(module.state_dict()) == before
    assert all(p.grad is None for p in module.parameters())
    F.cross_entropy(module(x), y).backward()
    for name, value in module.named_parameters():
        assert value.grad is not None
        assert found[name].norm == pytest.approx(float(value.grad.norm()), rel=1e-3)
        size = float(value.detach().norm())
        ratio = float(value.grad.norm()) / size if size else math.nan
        assert found[name].ratio == pytest.approx(ratio, rel=1e-3, nan_ok=True)
        wanted = float(value.grad.square().mean().sqrt())
        assert found[name].rms == pytest.approx(wanted, rel=1e-3)
        assert found[name].reached
        assert found[name].batches == 1


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.dead, self.after = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        nn.init.constant_(self.dead.bias, -1e3)

    def forward(self, x: Tensor) -> Any:
        x = self.before(x).detach()
        return self.after(F.relu(self.dead(x)))


def test_a_cut_path_and_a_dead_layer_are_told_apart() -> None:
    found = seen_gradients(Cut(), *data(600, 4))
    assert not found["before.weight"].reached
    assert found["dead.weight"].reached
    assert found["dead.weight"].zero_batches == found["dead.weight"].batches == 4
    assert found["dead.weight"].vanished
    assert found["after.bias"].norm > 0


def test_values_that_are_not_finite_are_counted() -> None:
    layer, (x, y) = nn.Linear(4, 3), data(100, 4)
    with torch.no_grad():
        layer.weight[0, 0] = torch.nan
    found = seen_gradients(nn.Sequential(layer), x, y)
    assert found["0.weight"].nonfinite > 0
    assert found["0.weight"].norm != found["0.weight"].norm


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    module[0].requires_grad_(False)
    assert set(seen_gradients(module, *data(64, 4))) == {"2.weight", "2.bias"}
