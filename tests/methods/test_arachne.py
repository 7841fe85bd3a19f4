"""The evolved patch: never worse than nothing, the same for the same seed, and resumable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair.errors import SettingError
from dnnrepair.evolve import SearchInterrupted
from dnnrepair.fitness import Arachne as Fitness
from dnnrepair.localize import contrast
from dnnrepair.methods.arachne import Arachne
from dnnrepair.methods.method import used
from dnnrepair.progress import Silent
from tests.methods.problems import network, problem, subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.methods.method import Problem, Proposal

SMALL = Arachne(candidates=12, generations=14, alphas=(1.0, 10.0))


class Stopped(Silent):
    """Ctrl-C after so many generations; notes what it was told."""

    def __init__(self, generations: int) -> None:
        self.left = generations
        self.notes: list[str] = []

    def advance(self, n: int) -> None:
        self.left -= n
        if self.left == 0:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes.append(text)


def fitness(given: Problem, tensors: Mapping[str, Tensor], alpha: float) -> float:
    """Return ``correct + alpha * fixed``, with ``1 / (1 + loss)`` for what is wrong."""
    net, _, _ = network("mlp")
    part = used(given.search)
    (x,), y = part.samples.inputs, part.samples.targets
    assert y is not None
    logits = torch.func.functional_call(net, net.state_dict() | dict(tensors), (x,)).detach()
    loss = torch.nn.functional.cross_entropy(logits, y.long(), reduction="none")
    worth = torch.where(logits.argmax(1) == y, 1.0, 1 / (1 + loss))
    return float((torch.where(part.targets, alpha, 1.0) * worth).sum())


def same(one: Sequence[Proposal], other: Sequence[Proposal]) -> bool:
    return all(
        a.name == b.name
        and a.tensors.keys() == b.tensors.keys()
        and all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)
        for a, b in zip(one, other, strict=True)
    )


def test_nothing_is_proposed_that_is_less_fit_than_the_original() -> None:
    given = problem(subject("mlp"))
    for method in (SMALL, replace(SMALL, generations=0, candidates=4)):
        for one, alpha in zip(method.propose(given), method.alphas, strict=True):
            assert fitness(given, one.tensors, alpha) >= fitness(given, {}, alpha) - 1e-3
    found = SMALL.propose(given)
    assert fitness(given, found[1].tensors, 10.0) > fitness(given, {}, 10.0) + 1


def test_without_the_original_it_can_be() -> None:
    given = problem(subject("mlp"))
    method = replace(SMALL, generations=0, candidates=4, keep_original=False)
    found = method.propose(given)
    assert fitness(given, found[0].tensors, 1.0) < fitness(given, {}, 1.0)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    given = problem(subject("mlp"))
    found = SMALL.propose(given)
    assert same(found, SMALL.propose(given))
    assert not same(found, SMALL.propose(replace(given, seed=1)))


def test_alphas_side_by_side_find_what_each_finds_alone() -> None:
    given = problem(subject("mlp"))
    found = SMALL.propose(given)
    assert [one.name for one in found] == ["alpha 1", "alpha 10"]
    for one, alpha in zip(found, SMALL.alphas, strict=True):
        assert same([one], replace(SMALL, alphas=(alpha,)).propose(given))


def test_the_fittest_of_several_restarts_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(subject("mlp"))
    drawn = contrast(used(given.search), 0)
    monkeypatch.setattr("dnnrepair.methods.arachne.contrast", lambda part, seed: drawn)  # noqa: ARG005
    once = replace(SMALL, alphas=(10.0,))
    each = [
        fitness(given, once.propose(replace(given, seed=seed))[0].tensors, 10.0)
        for seed in range(3)
    ]
    assert len(set(each)) > 1
    best = fitness(given, replace(once, restarts=3).propose(given)[0].tensors, 10.0)
    assert best == pytest.approx(max(each), abs=1e-2)


@pytest.mark.parametrize("generations", [1, 5, 12])
def test_a_search_that_was_killed_goes_on_to_the_same_bytes(
    tmp_path: Path, generations: int
) -> None:
    target = tmp_path / "m.patch"
    given = replace(problem(subject("mlp")), checkpoint=target)
    unbroken = SMALL.propose(replace(given, checkpoint=None))
    stopped = replace(given, progress=Stopped(generations + 1))
    with pytest.raises(SearchInterrupted) as stop:
        SMALL.propose(stopped)
    (kept,) = tmp_path.iterdir()
    assert kept == stop.value.kept
    assert kept.name.startswith("m.patch.")
    assert kept.suffix == ".search"
    counted = Stopped(1000)
    assert same(SMALL.propose(replace(given, progress=counted)), unbroken)
    assert list(tmp_path.iterdir()) == []


def test_another_search_does_not_go_on_from_it(tmp_path: Path) -> None:
    given = replace(problem(subject("mlp")), checkpoint=tmp_path / "m.patch")
    with pytest.raises(SearchInterrupted):
        SMALL.propose(replace(given, progress=Stopped(4)))
    (kept,) = tmp_path.iterdir()
    labels = problem(subject("mlp"))
    assert labels.search.samples.targets is not None
    labels.search.samples.targets[0] += 1
    for other, method in (
        (replace(given, seed=1), SMALL),
        (given, replace(SMALL, alphas=(1.0, 2.0))),
        (replace(labels, checkpoint=given.checkpoint), SMALL),
    ):
        clean = method.propose(replace(other, checkpoint=None))
        assert same(method.propose(other), clean)
        assert list(tmp_path.iterdir()) == [kept]


def test_it_stops_when_nothing_more_can_be_won(monkeypatch: pytest.MonkeyPatch) -> None:
    right = problem(subject("mlp"))
    # what is to be won is won already: every input that counts is right
    targets = right.search.correct & (torch.arange(len(right.search.correct)) % 3 == 0)
    part = replace(right.search, targets=targets)
    counted = Stopped(10_000)
    drawn = contrast(used(right.search), 0)
    monkeypatch.setattr("dnnrepair.methods.arachne.contrast", lambda part, seed: drawn)  # noqa: ARG005
    method = replace(SMALL, generations=300, alphas=(1.0, 2.0, 3.7, 6.1, 9.3))
    method.propose(replace(right, search=part, progress=counted))
    assert 10_000 - counted.left <= 2
    eager = Stopped(10_000)
    method.propose(replace(right, progress=eager))
    assert 10_000 - eager.left > 11


def test_how_it_goes_is_told() -> None:
    given = problem(subject("mlp"))
    told = Stopped(1000)
    found = replace(SMALL, alphas=(1.0, 10.0)).propose(replace(given, progress=told))
    part = used(given.search)
    assert part.samples.targets is not None
    net, _, _ = network("mlp")
    outputs = torch.func.functional_call(
        net, net.state_dict() | dict(found[-1].tensors), part.samples.inputs
    )
    right = outputs.argmax(1) == part.samples.targets
    fixed, broken = int((right & part.targets).sum()), int((~right & part.correct).sum())
    assert told.notes[-1].startswith(
        f"fixed {fixed} of {int(part.targets.sum())}, broken {broken}, fitness "
    )


def test_weights_are_one_on_average_and_alpha_apart() -> None:
    given = problem(subject("mlp"))
    part = used(given.search)
    made = SMALL._fitness(given, part)
    assert isinstance(made, Fitness)
    weight = made.weight
    torch.testing.assert_close(weight.mean(1), torch.ones(2))
    ratio = weight[1][part.targets][0] / weight[1][~part.targets][0]
    assert float(ratio) == pytest.approx(10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"localizer": "gradeint"}, "did you mean 'gradient'"),
        ({"reach": "every"}, "known: all, behind"),
        ({"alphas": (1.0, 0.0)}, "an alpha is 0"),
        ({"alphas": (float("nan"),)}, "an alpha is nan"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Arachne(**change)  # type: ignore[arg-type]
