"""A repair behind a shortcut is the repair of the whole network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.goal import Goal
from dnnrepair.methods.anchored import Anchored
from dnnrepair.methods.arachne import Arachne
from dnnrepair.methods.gradient import Gradient
from dnnrepair.patching import repair
from dnnrepair.progress import silent
from dnnrepair.shortcut import Shortcut
from dnnrepair.splitting import in_memory
from dnnrepair.subject import subject_of
from tests.methods.problems import NETWORKS, network, subject

if TYPE_CHECKING:
    from dnnrepair.methods.method import Method
    from dnnrepair.subject import Subject


class Whole(Anchored):
    """The default, which does not say what it changes."""

    def scope(self, subject: Subject, layers: object) -> tuple[str, ...]:  # noqa: ARG002
        return ()


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_verdicts_are_those_of_the_whole_network(kind: str) -> None:
    goal = Goal(fix=("all",))
    given = {"weights": (1.0, 5.0), "anchors": (1.0,), "steps": 20}
    near = repair(subject(kind), goal, [Anchored(**given)])  # type: ignore[arg-type]
    whole = repair(subject(kind), goal, [Whole(**given)])  # type: ignore[arg-type]
    assert near.report.parts == whole.report.parts
    assert near.report.model == whole.report.model
    for one, other in zip(near.report.points, whole.report.points, strict=True):
        assert one.held_out == other.held_out
    for patch, same in zip(near.patches, whole.patches, strict=True):
        assert patch.base == same.base
        assert patch.count == same.count


@pytest.mark.parametrize(
    ("method", "entering"),
    [(Anchored(), (16,)), (Arachne(), (64,)), (Gradient(), (64,)), (Arachne(reach="all"), (64,))],
)
def test_what_lies_in_front_runs_once(method: Method, entering: tuple[int, ...]) -> None:
    given = subject("mlp")
    samples = in_memory(given.samples)
    short = Shortcut.of(given, samples, method.scope(given, ()))
    led = short.lead(samples, silent)
    assert [x.shape[1:] for x in led.inputs] == [entering]
    assert led.targets is not None
    assert samples.targets is not None
    assert torch.equal(led.targets, samples.targets)
    net, x, _ = network("mlp")
    torch.testing.assert_close(short.subject.running.run(led.inputs), net(x))


def test_layers_that_the_user_chose_decide() -> None:
    given = subject("cnn")
    samples = in_memory(given.samples)
    names = Arachne().scope(given, ("head",))
    short = Shortcut.of(given, samples, names)
    assert names == ("head.weight",)
    assert list(short.subject.tensors) == ["head.weight", "head.bias"]


class Scaled(nn.Module):
    """Adds what does not depend on the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.table = nn.Parameter(torch.randn(3, 4))
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.relu(self.first(x)))
        return y + self.table.tanh().sum(0)[:2]


class Wide(nn.Module):
    """Makes much of a little."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 40)
        self.last = nn.Linear(40, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.relu(self.first(x)))
        return y


@pytest.mark.parametrize("make", [Scaled, Wide])
def test_networks_stay_whole_where_nothing_is_to_be_saved(make: type[nn.Module]) -> None:
    given = subject_of(make().eval(), (torch.randn(9, 3), torch.zeros(9, dtype=torch.int64)))
    samples = in_memory(given.samples)
    short = Shortcut.of(given, samples, ("last.weight",))
    assert short.subject is given
    assert short.lead(samples, silent) is samples


def test_any_parameter_leaves_the_network_whole() -> None:
    given = subject("mlp")
    assert Shortcut.of(given, in_memory(given.samples), ()).subject is given
    weights = replace(given, program=None)
    assert Shortcut.of(weights, in_memory(given.samples), ("head.weight",)).subject is weights
