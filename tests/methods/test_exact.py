"""The exact method's promises, asked of the networks themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair.answers import Examination
from dnnrepair.errors import DataError, ModelError, NoChangeError, SettingError
from dnnrepair.methods.exact import Exact
from dnnrepair.methods.method import Part, Problem, Proposal
from dnnrepair.splitting import in_memory
from dnnrepair.subject import subject_of
from tests.methods.problems import problem, subject, trained


def few(given: Problem, fix: int, keep: int) -> Problem:
    """Return the problem of fixing and keeping the first few inputs only."""
    search = given.search
    wrong = search.targets.nonzero()[:fix, 0]
    right = search.protected.nonzero()[:keep, 0]
    return replace(given, search=search.at(torch.cat([wrong, right]).sort().values))


def right_with(given: Problem, proposal: Proposal) -> torch.Tensor:
    asked = Examination.of(given.subject, given.search.samples, tolerance=given.tolerance)
    return asked.answers(proposal.tensors).correct


@pytest.mark.parametrize("kind", ["cnn", "lstm", "transformer", "mlp"])
@pytest.mark.parametrize("norm", ["l1", "linf"])
def test_all_that_is_asked_is_done(kind: str, norm: str) -> None:
    given = few(problem(subject(kind)), 3, 30)
    (found,) = Exact(norm=norm).propose(given)
    assert found.name == "smallest"
    assert found.settings["certified"] is True
    assert right_with(given, found).all()


def test_a_smaller_change_would_not_do() -> None:
    given = few(problem(subject("mlp")), 3, 30)
    (found,) = Exact(margin=1e-3).propose(given)
    own = given.subject.tensors
    halved = {n: own[n] + (value - own[n]) * 0.98 for n, value in found.tensors.items()}
    assert right_with(given, found).all()
    assert not right_with(given, replace(found, tensors=halved)).all()


def test_a_proof_names_inputs_and_the_closest_keeps_what_is_right() -> None:
    given = problem(subject("mlp"))
    settings: dict[str, Any] = {"box": 0.05}
    with pytest.raises(
        NoChangeError, match=r"no change of the last layer by at most .* contradict"
    ):
        Exact(relax=False, **settings).propose(given)
    (found,) = Exact(**settings).propose(given)
    assert found.name == "closest, none fixes all"
    assert "contradict each other" in str(found.settings["proof"])
    assert found.settings["certified"] is False
    assert right_with(given, found)[given.search.protected].all()


def test_an_input_with_two_labels_is_named() -> None:
    given = few(problem(subject("mlp")), 2, 20)
    search = given.search
    twice = torch.cat([torch.arange(len(search.correct)), search.protected.nonzero()[1:2, 0]])
    part = search.at(twice)
    assert part.samples.targets is not None
    labels = part.samples.targets.clone()
    labels[-1] = (labels[-1] + 1) % 10
    part.samples.targets = labels
    last = torch.arange(len(twice)) == len(twice) - 1
    planted = Part(
        samples=part.samples,
        correct=part.correct & ~last,
        targets=part.targets | last,
        protected=part.protected & ~last & (part.protected.cumsum(0) > 1),  # the first may break
        cost=part.cost,
    )
    pair = f"{int(search.protected.nonzero()[1, 0])}, {len(twice) - 1}"
    with pytest.raises(NoChangeError, match=rf"of 2 inputs \({pair} of the search part\)"):
        Exact(relax=False, box=100.0).propose(replace(given, search=planted))


def values() -> Problem:
    """Return the problem of a regressor that is off for some inputs."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=rng)
    y = x[:, :2].sin() + 0.3 * torch.randn(200, 2, generator=rng)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = trained(nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2)), x, y, 60)
    return problem(subject_of(net, (x, y), task="regress"), tolerance=0.6)


def test_values_come_within_the_tolerance() -> None:
    given = few(values(), 4, 40)
    (found,) = Exact(margin=1e-3).propose(given)
    assert found.settings["certified"] is True
    samples = in_memory(given.search.samples)
    assert given.subject.program is not None
    assert samples.targets is not None
    outputs = given.subject.program.run(samples.inputs, tensors=found.tensors)
    assert float((outputs - samples.targets).abs().max()) <= 0.6


def test_a_margin_beyond_the_tolerance_is_refused() -> None:
    with pytest.raises(SettingError, match="leaves nothing of the tolerance"):
        Exact(margin=0.6).propose(values())


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(SettingError, match="known: l1, linf"):
        Exact(norm="l2").propose(problem(subject("mlp")))


def test_features_that_are_no_numbers_are_refused() -> None:
    class Dividing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.head(x / x.abs().amax(1, keepdim=True))
            return y

    x, y = torch.randn(20, 4), torch.randint(0, 3, (20,))
    x[13] = 0
    given = subject_of(Dividing().eval(), (x, y))
    flags = torch.zeros(20, dtype=torch.bool)
    part = Part(
        samples=in_memory(given.samples),
        correct=flags,
        targets=~flags,
        protected=flags,
        cost=torch.ones(20),
    )
    with pytest.raises(DataError, match="NaN or infinity enters the last layer for input 13"):
        Exact().propose(Problem(subject=given, search=part, selection=part))


def test_a_network_without_a_linear_end_is_refused() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x, y = torch.randn(20, 4), torch.randint(0, 3, (20,))
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).eval()
    with pytest.raises(ModelError, match="ends in tanh"):
        Exact().propose(problem(subject_of(net, (x, y))))
