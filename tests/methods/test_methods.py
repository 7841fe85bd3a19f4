"""Every registered method, on every kind of network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from dnnrepair.bits import digest
from dnnrepair.errors import SettingError, UnknownNameError
from dnnrepair.methods.configured import configured_methods
from dnnrepair.methods.method import methods, used
from dnnrepair.methods.reach import behind
from dnnrepair.settings import settings_of
from dnnrepair.subject import subject_of
from tests.methods.problems import NETWORKS, network, problem, subject

if TYPE_CHECKING:
    from dnnrepair.methods.method import Method, Problem

QUICK = {
    "arachne": ("candidates=20", "generations=15", "alphas=1,10"),
    "random": ("candidates=100", "count=3", "alphas=1,10"),
    "anchored": ("weights=1,10", "anchors=1", "steps=30"),
    "last-layer": ("weights=1,10", "anchors=0", "steps=30"),
    "gradient": ("weights=1,10", "steps=10", "count=20"),
    "exact": (),
}


def quick(name: str) -> Method:
    given = [f"{name}.{text}" for text in QUICK.get(name, ())]
    return configured_methods([name], given)[0]


def right(given: Problem, tensors: dict[str, torch.Tensor], kind: str) -> torch.Tensor:
    """Return what the network gets right of the search part with these parameters."""
    net, _, _ = network(kind)
    state = {**net.state_dict(), **tensors}
    outputs = torch.func.functional_call(net, state, given.search.samples.inputs)
    wanted = given.search.samples.targets
    assert wanted is not None
    found: torch.Tensor = outputs.argmax(1) == wanted
    return found


@pytest.mark.parametrize("name", list(methods))
@pytest.mark.parametrize("kind", NETWORKS)
def test_each_method_proposes_something_for_each_network(name: str, kind: str) -> None:
    given = problem(subject(kind))
    before = {key: value.clone() for key, value in given.subject.tensors.items()}
    found = quick(name).propose(given)
    assert found
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.tensors
        for key, value in one.tensors.items():
            old = given.subject.tensors[key]
            assert (value.shape, value.dtype) == (old.shape, old.dtype)
            assert value.isfinite().all()
            assert key in network(kind)[0].state_dict()
    assert all(torch.equal(before[key], value) for key, value in given.subject.tensors.items())
    boldest = right(given, dict(found[-1].tensors), kind)
    if name != "random":
        assert int((boldest & given.search.targets).sum()) > 0


@pytest.mark.parametrize("name", list(methods))
def test_the_selection_part_is_not_fitted_to(name: str) -> None:
    given = problem(subject("mlp"))
    other = replace(given, selection=given.search)
    for one, same in zip(quick(name).propose(given), quick(name).propose(other), strict=True):
        assert all(torch.equal(one.tensors[key], same.tensors[key]) for key in one.tensors)


@pytest.mark.parametrize("name", list(methods))
def test_the_same_problem_gets_the_same_proposals(name: str) -> None:
    given = problem(subject("cnn"))
    for one, same in zip(quick(name).propose(given), quick(name).propose(given), strict=True):
        assert one.name == same.name
        assert digest(one.tensors) == digest(same.tensors)


@pytest.mark.parametrize("name", list(methods))
def test_only_layers_that_may_change_do(name: str) -> None:
    for one in quick(name).propose(problem(subject("cnn"), layers=("head",))):
        assert one.tensors.keys() <= {"head.weight", "head.bias"}


@pytest.mark.parametrize("name", ["arachne", "random"])
def test_a_search_changes_only_the_layers_that_may(name: str) -> None:
    found = quick(name).propose(replace(problem(subject("mlp")), layers=("layers.0",)))
    assert {key for one in found for key in one.tensors} == {"layers.0.weight"}


def test_random_changes_as_many_weights_as_asked() -> None:
    given = problem(subject("mlp"))
    for one in quick("random").propose(given):
        changed = sum(
            int((value != given.subject.tensors[key]).sum()) for key, value in one.tensors.items()
        )
        assert changed in {0, 3}


def test_what_lies_behind_the_last_heavy_layer_is_cheap() -> None:
    assert set(behind(subject("cnn"))) == {"fc.weight", "head.weight"}
    assert set(behind(subject("lstm"))) == {"head.weight"}
    assert set(behind(subject("mlp"))) == {"layers.0.weight", "head.weight"}
    cheap = behind(subject("transformer"))
    assert "head.weight" in cheap
    assert not any("in_proj" in name or "embedding" in name for name in cheap)


def test_a_network_that_ends_in_a_convolution_has_nothing_behind_it() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten())
    x, y = torch.randn(8, 1, 4, 4), torch.arange(8) % 3
    assert behind(subject_of(net.eval(), (x, y))) == ()


def test_used_inputs_are_those_that_count() -> None:
    part = problem(subject("mlp"), fix="top").search
    kept = used(part)
    assert bool((kept.targets | kept.correct).all())
    assert int(kept.targets.sum()) == int(part.targets.sum())
    assert int(kept.correct.sum()) == int(part.correct.sum())
    assert kept.samples.size < part.samples.size


@pytest.mark.parametrize("name", list(methods))
def test_each_setting_of_each_method_can_be_given_as_text(name: str) -> None:
    for key, setting in settings_of(methods[name]).items():
        value = setting.default
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        if value is not None:
            (made,) = configured_methods([name], [f"{name}.{key}={text}"])
            assert getattr(made, key) == value


def test_settings_are_typed_and_checked() -> None:
    (made,) = configured_methods(
        ["arachne"], ["arachne.alphas=1, 2.5", "arachne.count=7", "arachne.early=no"]
    )
    given = {key: getattr(made, key) for key in ("alphas", "count", "early")}
    assert given == {"alphas": (1.0, 2.5), "count": 7, "early": False}
    for text, words in (
        ("arachne.alphas=1,,2", "numbers with commas between"),
        ("arachne.alphas=-1", "at least 0"),
        ("arachne.alphas=1,inf", "at least 0"),
        ("arachne.candidates=3", "at least 4"),
        ("arachne.count=2.5", "an integer"),
        ("arachne.count=0", "at least 1"),
        ("arachne.candidate=3", "did you mean 'candidates'"),
        ("arachne.localizer=gradeint", "did you mean 'gradient'"),
        ("arachne.candidates=", "METHOD.key=value"),
        ("candidates=8", "METHOD.key=value"),
        ("random.candidates=8", "random is not used here; used: arachne"),
    ):
        with pytest.raises(SettingError, match=words):
            configured_methods(["arachne"], [text])
    with pytest.raises(UnknownNameError, match="did you mean 'arachne'"):
        configured_methods(["arachn"])
