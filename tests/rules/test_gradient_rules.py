"""GRD001 to GRD004 against planted faults, and networks that only look faulty."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.evidence.gradient import Gradient
from dnnrepair.finding import Severity
from dnnrepair.observation import Observations, Role, TensorInfo
from dnnrepair.rules.exploding_gradient import ExplodingGradient
from dnnrepair.rules.no_gradient import NoGradient
from dnnrepair.rules.unstable_gradient import UnstableGradient
from dnnrepair.rules.vanishing_gradient import VanishingGradient
from dnnrepair.sites import Site, Sites

RULES = (VanishingGradient, ExplodingGradient, UnstableGradient, NoGradient)


def data(samples: int = 512) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(samples, 12, generator=rng)
    return x, x[:, :4].argmax(1)


def chain(depth: int, activation: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(12, 24), activation()]
    for _ in range(depth - 2):
        layers += [nn.Linear(24, 24), activation()]
    return nn.Sequential(*layers, nn.Linear(24, 4))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
def test_healthy_chains_are_clean(judged: Any, activation: type[nn.Module]) -> None:
    for rule in RULES:
        assert judged(rule(), chain(4, activation), *data()) == ([], [])


def test_ten_sigmoid_layers_vanish_and_the_remedy_heals_half(judged: Any) -> None:
    model = chain(10, nn.Sigmoid)
    (found,), _ = judged(VanishingGradient(), model, *data())
    assert found.layer == "0"
    assert found.severity is Severity.WARNING
    assert found.measured < found.limit == 1e-3
    assert "sigmoid" in found.remedies[0].advice
    relu = nn.Sequential(*(nn.ReLU() if isinstance(m, nn.Sigmoid) else m for m in model))
    exec(found.remedies[1].code, {"model": relu})
    assert judged(VanishingGradient(), relu, *data()) == ([], [])


def test_small_weights_vanish_and_large_ones_explode(judged: Any) -> None:
    small, large = chain(6, nn.ReLU), chain(6, nn.ReLU)
    with torch.no_grad():
        for one, two in zip(small.parameters(), large.parameters(), strict=True):
            one.mul_(0.1)
            two.mul_(20.0)
    (found,), _ = judged(VanishingGradient(), small, *data())
    assert found.measured < 1e-3
    (found,), _ = judged(ExplodingGradient(), large, *data())
    assert found.measured > 100
    assert "clip" in found.remedies[0].code


class Compensated(nn.Module):
    """A layer whose scale the batch norm behind it takes back."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Linear(12, 24), nn.BatchNorm1d(24)
        self.second, self.last = nn.Linear(24, 24), nn.Linear(24, 4)
        with torch.no_grad():
            self.first.weight.mul_(scale)
            self.first.bias.mul_(scale)
            self.norm.running_var.fill_(scale**2)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Any:
        x = F.relu(self.second(F.relu(self.norm(self.first(x)))))
        return self.last(x)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_a_scale_that_a_norm_takes_back_is_no_fault(judged: Any, scale: float) -> None:
    model = Compensated(scale)
    for rule in (VanishingGradient, UnstableGradient):
        assert judged(rule(), model, *data())[0] == []


def test_uneven_layers_learn_at_uneven_speed(judged: Any) -> None:
    model = chain(4, nn.ReLU)
    with torch.no_grad():
        model[2].weight.mul_(0.01)  # type: ignore[operator]
        model[2].bias.mul_(0.01)  # type: ignore[operator]
        model[4].weight.mul_(100.0)  # type: ignore[operator]
    (found,), _ = judged(UnstableGradient(), model, *data())
    assert found.layer == "2"
    assert found.measured > 1e3
    space: dict[str, Any] = {"model": model}
    exec(found.remedies[0].code, space)
    covered = [id(p) for group in space["optimizer"].param_groups for p in group["params"]]
    assert sorted(covered) == sorted(id(p) for p in model.parameters())


def test_gradients_that_are_not_finite_are_an_error() -> None:
    infos = {"a.weight": TensorInfo(name="a.weight", layer="a", role=Role.WEIGHT, shape=(2, 2))}
    gradient = Gradient(norm=math.nan, weight_norm=1.0, size=4, batches=4, nonfinite=3)
    seen = Observations(tensors=infos, evidence={Gradient: {"a.weight": gradient}})
    (found,) = ExplodingGradient().check(seen)
    assert found.code == "GRD002"
    assert getattr(found, "severity", None) is Severity.ERROR
    assert list(NoGradient().check(seen)) == []


def test_a_weight_that_is_not_finite_is_left_to_num001(judged: Any) -> None:
    model = chain(3, nn.ReLU)
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan  # type: ignore[operator]
    for rule in RULES:
        found, skips = judged(rule(), model, *data())
        assert found == []
        assert all(skip.reason for skip in skips)
    (skip,) = judged(ExplodingGradient(), model, *data())[1]
    assert "NUM001" in skip.reason


class Cut(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.how = how
        self.before, self.branch, self.after = (
            nn.Linear(12, 24),
            nn.Linear(24, 24),
            nn.Linear(24, 4),
        )
        self.scale = nn.Linear(24, 24)
        if how == "zero branch":
            nn.init.zeros_(self.scale.weight)
            nn.init.zeros_(self.scale.bias)

    def forward(self, x: Tensor) -> Any:
        x = F.relu(self.before(x))
        if self.how == "detached":
            x = x.detach()
        if self.how == "unused":
            return self.after(x + self.scale(x))
        y = x + self.scale(F.relu(self.branch(x)))
        if self.how == "two outputs":
            return self.after(x), y
        return self.after(y)


def test_a_detached_path_is_an_error_and_named(judged: Any) -> None:
    (found,), _ = judged(NoGradient(), Cut("detached"), *data())
    assert found.layer == "before"
    assert found.severity is Severity.ERROR
    assert "detach" in found.message
    assert "test_gradient_rules.py" in found.message


def test_a_layer_that_is_never_called_is_a_warning(judged: Any) -> None:
    (found,), _ = judged(NoGradient(), Cut("unused"), *data())
    assert found.layer == "branch"
    assert found.severity is Severity.WARNING
    model = Cut("unused")
    exec(found.remedies[0].code, {"model": model})
    assert not model.branch.weight.requires_grad


def test_a_branch_that_is_about_to_learn_is_a_note(judged: Any) -> None:
    (found,), _ = judged(NoGradient(), Cut("zero branch"), *data())
    assert found.severity is Severity.NOTE
    assert "about to learn" in found.message


def test_what_serves_another_output_is_a_note(judged: Any) -> None:
    (found,), _ = judged(NoGradient(), Cut("two outputs"), *data())
    assert found.layer == "scale"
    assert found.measured == 4
    assert found.severity is Severity.NOTE


def test_a_dead_layer_stops_all_before_it(judged: Any) -> None:
    model = chain(4, nn.ReLU)
    nn.init.constant_(model[4].bias, -1e3)  # type: ignore[arg-type]
    (found,), _ = judged(NoGradient(), model, *data())
    assert found.layer == "6"  # reads zeros only
    assert found.severity is Severity.ERROR
    assert found.measured == 4
    assert found.evidence == ("'0.weight', '2.weight', '4.weight' as well",)


def test_without_labels_the_rules_are_skipped(judged: Any) -> None:
    for rule in RULES:
        found, skips = judged(rule(), chain(3, nn.ReLU), data()[0])
        assert found == []
        assert "needs labels" in skips[0].reason


def test_one_weight_allows_no_ratio() -> None:
    site = Site(name="s", op="linear", layer="a", tensors={"weight": "a.weight"})
    info = TensorInfo(name="a.weight", layer="a", role=Role.WEIGHT, shape=(2, 2), site="s")
    gradient = Gradient(norm=1.0, weight_norm=1.0, size=4, batches=4)
    seen = Observations(
        sites=Sites((site,), output="s"),
        tensors={"a.weight": info},
        evidence={Gradient: {"a.weight": gradient}},
    )
    for rule in (VanishingGradient(), UnstableGradient()):
        (skip,) = rule.check(seen)
        assert "two weights" in getattr(skip, "reason", "")
