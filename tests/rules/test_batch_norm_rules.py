"""BN001 to BN005 against a trained network whose batch norms were tampered with."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnrepair.evidence.batch_statistics import BatchStatistics
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Severity
from dnnrepair.observation import Facts, Observations, Phase, Role, TensorInfo
from dnnrepair.rules.batch_variance import BatchVariance
from dnnrepair.rules.mode_gap import ModeDifference
from dnnrepair.rules.norm_scale import NormScale
from dnnrepair.rules.stale_statistics import StaleStatistics
from dnnrepair.rules.unused_statistics import UnusedStatistics

RULES = [UnusedStatistics, StaleStatistics, NormScale, ModeDifference, BatchVariance]


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    """Ten noisy patterns to tell apart."""
    rng = torch.Generator().manual_seed(0)
    patterns = torch.randn(10, 1, 8, 8, generator=rng)
    labels = torch.randint(0, 10, (640,), generator=rng)
    return patterns[labels] + 0.6 * torch.randn(640, 1, 8, 8, generator=rng), labels


@pytest.fixture(scope="module")
def trained(data: tuple[Tensor, Tensor]) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Dropout(0.5), nn.Flatten(), nn.Linear(256, 10)),
    )
    inputs, labels = data
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(8):
        for rows in torch.randperm(640).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    return model.eval()


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("rule", RULES)
def test_a_healthy_network_is_clean(
    see: Any, say: Any, trained: nn.Module, data: Any, rule: Any
) -> None:
    assert say(rule(), see(trained, *data, rule=rule)) == ([], [])


def test_reset_statistics(see: Any, say: Any, trained: nn.Module, data: Any) -> None:
    model = deepcopy(trained)
    for norm in norms(model):
        norm.reset_running_stats()
    findings, _ = say(UnusedStatistics(), see(model, *data, rule=UnusedStatistics))
    assert [one.layer for one in findings] == ["1", "4"]
    assert {one.severity for one in findings} <= {Severity.ERROR, Severity.WARNING}
    remedy = findings[0].remedies[0].code
    exec(remedy, {"model": model, "batches": data[0].split(128)})
    for rule in (UnusedStatistics, StaleStatistics, ModeDifference):
        assert say(rule(), see(model, *data, rule=rule)) == ([], [])


def test_missing_statistics_and_a_missing_count_are_notes(
    see: Any, say: Any, trained: nn.Module, data: Any
) -> None:
    model = deepcopy(trained)
    first, second = norms(model)
    first.running_mean = first.running_var = None
    assert second.num_batches_tracked is not None
    second.num_batches_tracked.zero_()
    findings, _ = say(UnusedStatistics(), see(model, *data, rule=UnusedStatistics))
    assert [one.severity for one in findings] == [Severity.NOTE, Severity.NOTE]


def running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def spoil(model: nn.Module, fault: str) -> None:
    mean, var = running(norms(model)[0])
    if fault == "variance x25":
        var *= 25
    elif fault == "mean +3 sd":
        mean += 3 * var.sqrt()


@pytest.mark.parametrize("fault", ["variance x25", "mean +3 sd"])
def test_stale_statistics_begin_where_they_were_spoiled(
    see: Any, say: Any, trained: nn.Module, data: Any, fault: str
) -> None:
    model = deepcopy(trained)
    spoil(model, fault)
    findings, _ = say(StaleStatistics(), see(model, *data, rule=StaleStatistics))
    assert [one.layer for one in findings] == ["1"]
    assert findings[0].severity is not Severity.NOTE
    captured: list[Tensor] = []
    norms(model)[0].register_forward_pre_hook(lambda _, args: captured.append(args[0].detach()))
    model(data[0])
    mean, var = (v.numpy() for v in running(norms(model)[0]))
    v, m = captured[0].var((0, 2, 3), unbiased=False).numpy(), captured[0].mean((0, 2, 3)).numpy()
    expected = 0.5 * (v / var + (m - mean) ** 2 / var - 1 - np.log(v / var))
    assert findings[0].measured == pytest.approx(float(np.median(expected)), rel=0.02)


def test_a_mode_gap_is_found(see: Any, say: Any, trained: nn.Module, data: Any) -> None:
    model = deepcopy(trained)
    mean, var = running(norms(model)[1])
    mean += 3 * var.sqrt()
    (found,), _ = say(ModeDifference(), see(model, *data, rule=ModeDifference))
    assert found.severity is Severity.WARNING
    right = (model(data[0][:512]).argmax(1) == data[1][:512]).float().mean()
    assert f"accuracy {right:.3f} with running" in found.message


def test_heavy_dropout_is_no_mode_gap(see: Any, say: Any, trained: nn.Module, data: Any) -> None:
    layers = list(deepcopy(trained).children())
    layers[6] = nn.Dropout(0.95)
    model = nn.Sequential(*layers)
    assert say(ModeDifference(), see(model, *data, rule=ModeDifference)) == ([], [])


def test_tiny_variance_and_huge_scale(see: Any, say: Any, trained: nn.Module, data: Any) -> None:
    model = deepcopy(trained)
    running(norms(model)[0])[1][0] = 1e-9
    norms(model)[1].weight.data[3] = 500.0
    findings, _ = say(NormScale(), see(model, *data, rule=NormScale))
    assert [(one.layer, one.units) for one in findings] == [("1", (0,)), ("4", (3,))]
    for one in findings:
        exec(one.remedies[0].code, {"model": model})
    assert say(NormScale(), see(model, *data, rule=NormScale)) == ([], [])


def test_a_rescaling_that_the_norm_undoes_is_clean(
    see: Any, say: Any, trained: nn.Sequential, data: Any
) -> None:
    model = deepcopy(trained)
    before = model(data[0])
    with torch.no_grad():
        for place, factor in ((0, 0.01), (3, 300.0)):
            model.get_parameter(f"{place}.weight").mul_(factor)
            model.get_parameter(f"{place}.bias").mul_(factor)
            norm = model[place + 1]
            assert isinstance(norm, nn.BatchNorm2d)
            mean, var = running(norm)
            mean *= factor
            var.copy_((var + norm.eps) * factor**2 - norm.eps)
    torch.testing.assert_close(model(data[0]), before, atol=1e-3, rtol=1e-3)
    for rule in RULES:
        assert say(rule(), see(model, *data, rule=rule)) == ([], [])


def test_scales_of_zero_are_noted(see: Any, say: Any, trained: nn.Module, data: Any) -> None:
    model = deepcopy(trained)
    norms(model)[0].weight.data[:4] = 0
    (found,), _ = say(NormScale(), see(model, *data, rule=NormScale))
    assert found.severity is Severity.NOTE
    assert found.units == (0, 1, 2, 3)


@pytest.mark.parametrize("rule", [UnusedStatistics, StaleStatistics, ModeDifference])
def test_untrained_networks_are_skipped(
    see: Any, say: Any, trained: nn.Module, data: Any, rule: Any
) -> None:
    findings, skips = say(rule(), see(trained, *data, rule=rule, phase=Phase.INIT))
    assert not findings
    assert "untrained" in skips[0].reason


@pytest.mark.parametrize("rule", RULES)
def test_nan_makes_no_finding(see: Any, say: Any, trained: nn.Module, data: Any, rule: Any) -> None:
    model = deepcopy(trained)
    model.get_parameter("0.weight").data[:] = torch.nan
    mean, var = running(norms(model)[1])
    mean[0] = var[1] = torch.nan
    findings, _ = say(rule(), see(model, *data, rule=rule))
    assert all(rule is ModeDifference for _ in findings)


def test_weights_alone_suffice(say: Any) -> None:
    tensors = {
        "bn.weight": (Role.SCALE, np.ones(6)),
        "bn.bias": (Role.SHIFT, np.zeros(6)),
        "bn.running_mean": (Role.STATISTIC, np.zeros(6)),
        "bn.running_var": (Role.STATISTIC, np.ones(6)),
        "bn.num_batches_tracked": (Role.STATISTIC, np.zeros(1)),
        "cn.weight": (Role.SCALE, np.array([1, 1, 1, 1, 1, 500.0])),
        "cn.running_mean": (Role.STATISTIC, np.full(6, 0.3)),
        "cn.running_var": (Role.STATISTIC, np.full(6, 2.0)),
    }
    seen = Observations(
        tensors={
            name: TensorInfo(name=name, layer=name[:2], role=role, shape=values.shape)
            for name, (role, values) in tensors.items()
        },
        facts=Facts(mode="weights"),
        evidence={Vector: {name: Vector(values=values) for name, (_, values) in tensors.items()}},
    )
    (unused,), _ = say(UnusedStatistics(), seen)
    assert (unused.layer, unused.severity) == ("bn", Severity.ERROR)
    (huge,), _ = say(NormScale(), seen)
    assert (huge.layer, huge.units) == ("cn", (5,))
    fresh = replace(seen, facts=Facts(mode="weights", phase=Phase.INIT))
    assert not say(UnusedStatistics(), fresh)[0]


def test_unsteady_batches_are_noted(see: Any, say: Any, trained: nn.Module, data: Any) -> None:
    inputs = data[0].clone()
    inputs[:128] *= 10
    findings, _ = say(BatchVariance(), see(trained, inputs, rule=BatchVariance))
    assert findings[0].severity is Severity.NOTE
    seen = see(trained, inputs, rule=BatchVariance)
    assert next(iter(seen.of(BatchStatistics).values())).batches == 5
