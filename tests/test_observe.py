"""Observation leaves everything as found, streams, and refuses what it cannot use in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.api import diagnose_module
from dnnrepair.bits import digest
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError
from dnnrepair.evidence.moments import Moments
from dnnrepair.observe import observe
from dnnrepair.progress import silent
from dnnrepair.subject import subject_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        y: Tensor = self.fc(self.drop(x.flatten(1)))
        return y


def data(count: int = 640) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    return torch.rand(count, 1, 8, 8, generator=rng), torch.randint(0, 3, (count,), generator=rng)


def test_a_diagnosis_leaves_model_buffers_modes_gradients_and_random_state_as_found() -> None:
    module = Net().train()
    module.norm.eval()
    module.fc.weight.grad = torch.ones_like(module.fc.weight)
    before = digest(module.state_dict())
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the global state is what is tested
    states = torch.random.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    hooks = [len(part._forward_hooks) for part in module.modules()]
    report = diagnose_module(module, data())
    assert report.model.samples == 640
    assert digest(module.state_dict()) == before
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert repr(np.random.get_state()) == states[1]  # noqa: NPY002
    assert module.training
    assert not module.norm.training
    assert torch.equal(module.fc.weight.grad, torch.ones_like(module.fc.weight))
    assert module.conv.weight.grad is None
    assert [len(part._forward_hooks) for part in module.modules()] == hooks


def test_observed_moments_are_those_of_the_module() -> None:
    torch.manual_seed(0)
    module, (x, y) = Net().eval(), data()
    seen = observe(
        subject_of(module, (x, y)), frozenset({Moments}), seed=0, batch_size=77, progress=silent
    )
    site = next(s for s in seen.sites if s.layer == "conv")
    with torch.no_grad():
        wanted = module.conv(x).double()
    found = seen.of(Moments)[site.name]
    assert found.count == 640 * 64
    np.testing.assert_allclose(found.mean, wanted.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.std, wanted.std((0, 2, 3)), rtol=3e-2)
    np.testing.assert_allclose(found.high, wanted.amax((0, 2, 3)), rtol=1e-5)


class Counting(ArraySamples):
    """Counts how often the data are read through."""

    passes = 0

    def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Any:
        type(self).passes += 1
        return super().batches(size, rank=rank, world=world)


def test_one_pass_over_the_data_serves_all_rules() -> None:
    x, y = data()
    Counting.passes = 0
    report = diagnose_module(Net(), Counting((x,), y, "counted"))
    assert len(report.checked) > 20
    assert Counting.passes == 1


def test_the_same_seed_gives_the_same_report_at_any_batch_size_for_the_codes() -> None:
    torch.manual_seed(0)
    module = Net()
    first = diagnose_module(module, data(), batch_size=64)
    assert first == diagnose_module(module, data(), batch_size=64)
    other = diagnose_module(module, data(), batch_size=200)
    assert [f.fingerprint for f in first.findings] == [f.fingerprint for f in other.findings]


def test_labels_out_of_range_are_named() -> None:
    x, y = data()
    with pytest.raises(DataError, match="7"):
        diagnose_module(Net(), (x, torch.where(y == 2, 7, y)))


def test_a_wrong_input_shape_is_told_with_the_shape() -> None:
    with pytest.raises(DataError, match=r"\(4, 1, 12, 12\)"):
        diagnose_module(Net(), (torch.rand(600, 1, 12, 12), data(600)[1]))


def test_a_wrong_input_type_is_told_with_the_type() -> None:
    with pytest.raises(DataError, match="int64"):
        diagnose_module(Net(), (torch.ones(600, 1, 8, 8, dtype=torch.int64), data(600)[1]))


@pytest.mark.parametrize("count", [1, 2, 40])
def test_too_few_samples_are_inconclusive_not_a_crash(count: int) -> None:
    report = diagnose_module(Net(), data(count))
    assert str(count) in report.inconclusive
    assert "512" in report.inconclusive


def test_without_labels_rules_that_need_them_are_skipped() -> None:
    report = diagnose_module(Net(), data()[0])
    reasons = {skip.code: skip.reason for skip in report.skipped}
    assert "label" in reasons["GRD001"]
    assert "ACT001" in report.checked


def test_an_interrupt_ends_in_a_partial_report() -> None:
    class Impatient(ArraySamples):
        def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Any:
            for place, batch in enumerate(super().batches(size, rank=rank, world=world)):
                if place == 2:
                    raise KeyboardInterrupt
                yield batch

    x, y = data()
    report = diagnose_module(Net(), Impatient((x,), y, "impatient"))
    assert report.interrupted
    assert report.model.samples == 256
    assert report.layers


def test_a_model_with_no_parameters_is_diagnosed() -> None:
    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :3]

    assert diagnose_module(Plain(), data()).model.parameters == 0
