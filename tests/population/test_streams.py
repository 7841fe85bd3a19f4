"""Changed channels that run to the next sum one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.fitness import Arachne
from dnnrepair.population import EvaluatorSettings, Place, prepare
from dnnrepair.population.operations import patching
from dnnrepair.population.values import Streamed
from dnnrepair.subject import subject_of
from tests.population.test_exact import agreement, answers_alike

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT, SIDE = 21, 6


class Regroup(nn.Module):
    """Cut across channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], 2, -1)


BETWEEN: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "gelu": nn.GELU,
    "nothing": nn.Identity,
    "max pool": lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
    "mean": lambda: nn.Sequential(nn.Tanh(), nn.AdaptiveAvgPool2d(1)),
    "norm": lambda: nn.Sequential(nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout()),
    "regrouped": Regroup,
    "convolution": lambda: nn.Sequential(nn.ReLU(), nn.Conv2d(5, 5, 3)),
}
STREAMED = set(BETWEEN) - {"convolution"}


class Branched(nn.Module):
    """A convolution that something else reads, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, padding=1)
        self.last = nn.Linear(5 * SIDE * SIDE, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        out: Tensor = self.last(F.relu(y).flatten(1)) + y.mean((2, 3))[:, :3]
        return out


def network(between: str) -> nn.Module:
    torch.manual_seed(len(between))
    if between == "branched":
        return Branched().eval()
    front = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), BETWEEN[between](), nn.Flatten()).eval()
    width = front(torch.zeros(1, 2, SIDE, SIDE)).shape[1]
    return nn.Sequential(front, nn.Linear(width, 7), nn.ReLU(), nn.Linear(7, 3)).eval()


class Drawn:
    """A network with patched weights of some channels, and candidates."""

    def __init__(self, between: str, channels: int, seed: int, *, also: str = "") -> None:
        rng = torch.Generator().manual_seed(seed)
        self.module = network(between)
        self.inputs = torch.randn(COUNT, 2, SIDE, SIDE, generator=rng)
        self.labels = torch.randint(3, (COUNT,), generator=rng)
        names = dict(self.module.named_parameters())
        first = next(iter(names))
        chosen = torch.randperm(5, generator=rng)[:channels].tolist()
        self.places = [Place(first, (unit, 1, i % 3, i // 3)) for i, unit in enumerate(chosen)]
        self.places += [Place(first, (chosen[0], 0, 2, 2))]
        self.places += [Place(also, (1, 4))] if also else []
        own = torch.stack([names[p.tensor].detach()[p.index] for p in self.places])
        self.values = own + 0.5 * torch.randn(9, len(own), generator=rng)
        self.weights = 1 + torch.rand(COUNT, generator=rng)

    def evaluator(self, **options: Any) -> Any:
        subject = subject_of(self.module, (self.inputs, self.labels), task="classify")
        assert subject.samples is not None
        chosen = EvaluatorSettings(**options)
        return prepare(subject, self.places, subject.samples, Arachne(self.weights), chosen)

    def wanted(self, row: int) -> Tensor:
        names = dict(self.module.named_parameters())
        changed = {p.tensor: names[p.tensor].detach().clone() for p in self.places}
        for place, value in zip(self.places, self.values[row], strict=True):
            changed[place.tensor][place.index] = value
        found: Tensor = torch.func.functional_call(self.module, changed, self.inputs)
        return found


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stream whatever can be, and count the values that were streamed."""
    made: list[int] = []
    begin = Streamed.__init__

    def watched(self: Streamed, parts: Any) -> None:
        made.append(1)
        begin(self, parts)

    monkeypatch.setattr(Streamed, "__init__", watched)
    monkeypatch.setattr(patching, "LARGE", 0)
    return made


def checked(drawn: Drawn, **options: Any) -> Tensor:
    ready = drawn.evaluator(**options)
    assert not ready.notes
    with torch.no_grad():
        expected = [drawn.wanted(row) for row in range(len(drawn.values))]
    answers_alike(ready, drawn.values, expected, drawn.labels, drawn.weights, 1e-5)
    found: Tensor = ready(drawn.values)
    return found


@pytest.mark.parametrize("between", [*BETWEEN, "branched"])
def test_streamed_units_give_what_the_module_does(between: str, streams: list[int]) -> None:
    for channels in (2, 5):
        drawn = Drawn(between, channels, channels)
        fitness = checked(drawn, block=16)
        if between in STREAMED:
            assert streams
        assert torch.equal(drawn.evaluator(block=16, chunk=2)(drawn.values), fitness)
        streams.clear()


@pytest.mark.parametrize(
    ("between", "channels"), [("relu", 1), ("convolution", 3), ("branched", 3)]
)
def test_nothing_is_streamed_where_units_are_needed_together(
    between: str, channels: int, streams: list[int]
) -> None:
    checked(Drawn(between, channels, 0))
    assert not streams


def test_a_patched_sum_takes_its_units_together(streams: list[int]) -> None:
    checked(Drawn("relu", 3, 0, also="1.weight"))
    assert not streams


def test_small_values_are_not_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn("relu", 3, 0)
    monkeypatch.setattr(patching, "LARGE", 3 * SIDE * SIDE)
    together = drawn.evaluator().suffix
    monkeypatch.setattr(patching, "LARGE", 3 * SIDE * SIDE - 1)
    alone = drawn.evaluator().suffix
    inputs = (drawn.inputs[:16],)
    assert together.record(inputs).largest == 3 * 16 * SIDE * SIDE
    assert alone.record(inputs).largest == 16 * SIDE * SIDE


@settings(max_examples=15)
@given(
    between=st.sampled_from([*BETWEEN, "branched"]),
    channels=st.integers(1, 5),
    seed=st.integers(0, 10**6),
    block=st.sampled_from([16, 21]),
    chunk=st.integers(1, 9),
)
def test_streaming_changes_no_more_than_rounding(
    between: str, channels: int, seed: int, block: int, chunk: int
) -> None:
    drawn = Drawn(between, channels, seed)
    together = drawn.evaluator(block=block).logits(drawn.values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patching, "LARGE", 0)
        streamed = drawn.evaluator(block=block, chunk=chunk)
        agreement(streamed.logits(drawn.values), together, 1e-5)
