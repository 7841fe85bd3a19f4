"""A network that takes over the normalization of its input answers as it did."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.errors import SettingError
from dnnrepair.subject import Subject, subject_of
from dnnrepair.swap_report import Promise
from dnnrepair.swapping.driver import swap
from dnnrepair.swapping.operations.fold_input import FoldInput
from dnnrepair.swapping.plan import planned
from dnnrepair.swapping.where import Where
from tests.swapping.small import answer, jolted, rng

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COUNT = 40


class Split(nn.Module):
    """Two layers read the image."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [layer(x).relu().mean((2, 3)) for layer in (self.one, self.two)]
        y: Tensor = self.head(torch.cat(pooled, 1))
        return y


class Straight(nn.Module):
    """Something else reads the image, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 1), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head((x + self.conv(x).relu()).mean((2, 3)))
        return y


def tail(channels: int) -> list[nn.Module]:
    return [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)]


NETWORKS: dict[str, nn.Module] = {
    "plain": nn.Sequential(nn.Conv2d(3, 6, 3), *tail(6)),
    "padded": nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, stride=2), *tail(6)),
    "same": nn.Sequential(nn.Conv2d(3, 6, 4, padding="same"), *tail(6)),
    "grouped": nn.Sequential(nn.Conv2d(3, 6, 3, padding=2, groups=3, bias=False), *tail(6)),
    "transposed": nn.Sequential(nn.ConvTranspose2d(3, 6, 3, stride=2, padding=1), *tail(6)),
    "flat": nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 6), nn.ReLU(),
                          nn.Linear(6, 3)),
    "two": Split(),
}  # fmt: skip


def made(name: str) -> tuple[Subject, Tensor]:
    """Return a network on normalized images, and the images as they are stored."""
    raw = torch.rand(COUNT, 3, 8, 8, generator=rng(3)).double() * 255
    mean, std = (torch.tensor(v, dtype=torch.float64).reshape(3, 1, 1) for v in (MEAN, STD))
    seen = (raw / 255 - mean) / std
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = jolted(NETWORKS[name]).double().eval()
    return subject_of(module, (seen, torch.arange(COUNT) % 3), name="net"), raw


FOLD = FoldInput(mean=MEAN, std=STD, scale=1 / 255)


@pytest.mark.parametrize("name", NETWORKS)
def test_inputs_as_they_are_stored_give_the_same_answers(name: str) -> None:
    before, raw = made(name)
    found = FOLD.apply(before, Where(), rng())
    (done,) = found.swaps
    assert before.samples is not None
    normalized = before.samples.example(COUNT).inputs[0]
    old, new = answer(before, normalized), answer(found.subject, raw)
    assert float((new - old).abs().max()) <= 1e-10 * float(old.abs().max())
    assert done.promise is Promise.EXACT
    assert done.difference is not None
    assert done.difference.relative <= 1e-10
    with torch.no_grad():
        assert torch.allclose(found.module(raw), old, rtol=1e-9)
    assert found.structural is (name not in ("plain", "flat"))
    assert ("subtracted in front of" in done.reason) is found.structural


def test_one_number_serves_all_channels() -> None:
    before, raw = made("plain")
    found = FoldInput(mean=(0.5,), std=(0.25,)).apply(before, Where(), rng())
    assert before.samples is not None
    x = before.samples.example(COUNT).inputs[0]
    assert torch.allclose(answer(found.subject, x * 0.25 + 0.5), answer(before, x))
    del raw


def test_the_whole_run_measures_with_inputs_as_they_are_stored() -> None:
    before, _ = made("padded")
    outcome = swap(before, planned({"temperature": ["2"]}, fold=FOLD))
    assert [one.operation for one in outcome.report.swaps] == ["temperature", "fold-input"]
    assert outcome.report.overall is not None
    assert outcome.report.overall.relative == pytest.approx(0.5)
    assert outcome.report.overall.agreement is not None
    assert outcome.report.overall.agreement.value == 1


def test_what_cannot_take_it_over_is_told() -> None:
    before, _ = made("plain")
    with pytest.raises(SettingError, match="give --mean, --std or --scale with --fold-input"):
        FoldInput().apply(before, Where(), rng())
    with pytest.raises(SettingError, match="--mean holds 2 numbers, and 0 reads 3 channels"):
        FoldInput(mean=(0.1, 0.2)).apply(before, Where(), rng())
    x = torch.randn(8, 3, 6, 6)
    other = subject_of(Straight(), (x, torch.arange(8) % 3))
    with pytest.raises(SettingError, match=r"add \(.*\) reads the input, and only linear layers"):
        FOLD.apply(other, Where(), rng())
    pooled = subject_of(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 3, 1), *tail(3)), x)
    with pytest.raises(SettingError, match=r"avg_pool2d .* reads the input"):
        FOLD.apply(pooled, Where(), rng())
