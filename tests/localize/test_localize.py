"""Suspects of whole networks: what is found, what is said, and what cannot be done."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnrepair.bench.reference_cnns import initialized
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError, DnnRepairError, ModelError, SettingError
from dnnrepair.localize import Localizer, LocalizerSettings, localize
from dnnrepair.localize.contrast import drawn
from dnnrepair.population import Place
from dnnrepair.program import GraphProgram
from dnnrepair.subject import Subject, subject_of
from tests.localize.conftest import measured, put, samples_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.probe import Batch


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 3)
    )


@pytest.fixture
def samples() -> ArraySamples:
    return samples_for((1, 6, 6), count=7)


@pytest.fixture
def subject(samples: ArraySamples) -> Subject:
    return put(initialized(network, 0), samples)


def halves(samples: ArraySamples) -> tuple[ArraySamples, ArraySamples]:
    places = np.arange(samples.size)
    return samples.subset(places[::2], "wrong"), samples.subset(places[1::2], "right")


def assert_same(one: tuple[Any, ...], other: tuple[Any, ...], exactly: bool = False) -> None:
    for a, b in zip(one, other, strict=True):
        for name in a:
            torch.testing.assert_close(
                a[name], b[name], rtol=0 if exactly else 1e-6, atol=0 if exactly else 1e-14
            )


@pytest.mark.parametrize("published", [False, True])
def test_batches_of_any_size_give_the_same(
    subject: Subject, samples: ArraySamples, published: bool
) -> None:
    whole = measured(subject, samples, batch_size=64, published=published)
    assert_same(whole, measured(subject, samples, batch_size=2, published=published))
    assert_same(whole, measured(subject, samples, batch_size=64, published=published), exactly=True)


@pytest.mark.parametrize("published", [False, True])
def test_a_batch_size_fixed_at_export_changes_nothing(
    subject: Subject, samples: ArraySamples, published: bool
) -> None:
    net = initialized(network, 0).double().eval()
    exported = torch.export.export(net, (samples.inputs[0][:4],))
    fixed = replace(subject, program=GraphProgram.of(exported))
    assert fixed.program is not None
    assert fixed.program.batch_size == 4
    found = measured(fixed, samples, published=published)
    assert_same(found, measured(subject, samples, published=published))


def test_memory_does_not_grow_with_the_data(subject: Subject, samples: ArraySamples) -> None:
    alive: list[weakref.ref[Tensor]] = []
    most: list[int] = []

    class Watched(ArraySamples):
        def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Iterator[Batch]:
            for batch in super().batches(size, rank=rank, world=world):
                own = replace(batch, inputs=(batch.inputs[0].clone(),))
                alive.append(weakref.ref(own.inputs[0]))
                most.append(sum(ref() is not None for ref in alive))
                yield own
                del batch, own

    assert samples.targets is not None
    many = Watched((samples.inputs[0].repeat(4, 1, 1, 1),), samples.targets.repeat(4), "many")
    measured(subject, many, batch_size=2)
    assert len(alive) == 28  # two passes
    assert max(most) <= 3  # of 14: the last one, the present one, and the one to come


@pytest.mark.parametrize("last", [nn.Softmax(-1), nn.LogSoftmax(-1)])
def test_a_softmax_at_the_end_is_looked_through(
    subject: Subject, samples: ArraySamples, last: nn.Module
) -> None:
    ended = put(nn.Sequential(*initialized(network, 0), last), samples)
    assert_same(measured(ended, samples), measured(subject, samples))
    (note,) = localize(ended, *halves(samples)).notes
    assert "logits" in note


def test_a_wrong_weight_is_found() -> None:
    """Every input whose prediction changed is blamed on the weight that was changed."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(300, 1, 6, 6, generator=rng)
    net = initialized(network, 3).eval()
    for tensor, index in (("5.weight", (1, 4)), ("3.weight", (4, 20)), ("0.weight", (2, 0, 1, 1))):
        broken = initialized(network, 3).eval()
        with torch.no_grad():
            y = net(x).argmax(1)
            broken.get_parameter(tensor)[index] += 9
            wrong = (broken(x).argmax(1) != y).numpy()
        assert wrong.any()
        samples = ArraySamples((x,), y, "x")
        suspects = localize(
            subject_of(broken, (x, y)),
            samples.subset(np.flatnonzero(wrong), "wrong"),
            samples.subset(np.flatnonzero(~wrong), "right"),
        )
        assert suspects.rank_of(Place(tensor, index)) <= len(suspects.scores) // 20


@pytest.mark.parametrize("localizer", Localizer)
def test_suspects_head_the_ranking(
    subject: Subject, samples: ArraySamples, localizer: Localizer
) -> None:
    settings = LocalizerSettings(localizer=localizer, count=20, seed=3)
    found = localize(subject, *halves(samples), settings)
    assert len(set(found.places)) == len(found) == 20
    assert [found.rank_of(place) for place in found.places] == list(range(1, 21))
    again = localize(subject, *halves(samples), settings)
    assert again.places == found.places
    for place, gradient in zip(found.places, found.gradient_loss, strict=True):
        assert found.scores.gradient[found.scores.position(place)] == gradient


def test_the_first_front_is_suspected_by_default(subject: Subject, samples: ArraySamples) -> None:
    found = localize(subject, *halves(samples))
    g, f = found.scores.gradient, found.scores.impact
    for position in found.positions:
        assert not ((g > g[position]) & (f > f[position])).any()


def test_costs_set_negatives_against_positives(subject: Subject, samples: ArraySamples) -> None:
    wrong, right = halves(samples)
    scores = localize(subject, wrong, right).scores
    (bad, bad_impact), (good, good_impact) = measured(subject, wrong), measured(subject, right)
    for name in bad:
        place = Place(name, tuple(size - 1 for size in bad[name].shape))
        at = scores.position(place)
        assert scores.place(at) == place
        last = (-1,) * bad[name].dim()
        assert scores.gradient[at] == pytest.approx(float(bad[name][last] / (1 + good[name][last])))
        wanted = float(bad_impact[name][last] / (1 + good_impact[name][last]))
        assert scores.impact[at] == pytest.approx(wanted)


@pytest.mark.parametrize("layer", ["3", "3.weight"])
def test_only_the_named_layers_are_suspected(
    subject: Subject, samples: ArraySamples, layer: str
) -> None:
    found = localize(subject, *halves(samples), LocalizerSettings(layers=(layer,)))
    assert tuple(found.scores.shapes) == ("3.weight",)
    whole = localize(subject, *halves(samples)).scores
    start = whole.position(Place("3.weight", (0, 0)))
    np.testing.assert_allclose(whole.impact[start : start + 768], found.scores.impact)


class Branching(nn.Module):
    """Cannot be exported: what it does depends on its values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x if float(x.sum()) > 0 else -x)
        return y


def test_a_network_that_cannot_be_exported_is_judged_by_its_gradient() -> None:
    samples = samples_for((4,), 8)
    found = localize(put(Branching(), samples), *halves(samples), LocalizerSettings(count=4))
    assert found.localizer is Localizer.GRADIENT
    assert len(found) == 4
    assert "only gradient loss" in found.notes[-1]


class Projected(nn.Module):
    """An LSTM whose states are projected, which has no closed form here."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, proj_size=2, batch_first=True)
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(x)[0][:, -1])
        return y


def test_what_cannot_be_measured_is_named() -> None:
    samples = samples_for((5, 3), 8)
    found = localize(put(Projected(), samples), *halves(samples))
    assert "rnn.weight_ih_l0" in found.notes[-1]


def _error(kind: type[DnnRepairError], said: str) -> Any:
    return pytest.raises(kind, match=said)


def test_bad_input_is_refused(subject: Subject, samples: ArraySamples) -> None:
    wrong, right = halves(samples)
    with _error(ModelError, "did you mean '3'"):
        localize(subject, wrong, right, LocalizerSettings(layers=("33",)))
    with _error(SettingError, "at least 1"):
        LocalizerSettings(count=0)
    with _error(DataError, "no labels"):
        localize(subject, ArraySamples(wrong.inputs, None, "x"), right)
    with _error(ModelError, "--arch"):
        localize(replace(subject, program=None), wrong, right)
    net = initialized(network, 0)
    net.get_parameter("3.weight").data[0, 0] = torch.nan
    with _error(ModelError, "not finite"):
        localize(put(net, samples), wrong, right)
    bare = samples_for((4,))
    with _error(ModelError, "no linear"):
        localize(put(nn.Sequential(nn.BatchNorm1d(4)), bare), *halves(bare))


def test_positives_are_drawn_from_each_class_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [600, 390, 10])
    places = drawn(labels, 50, np.random.default_rng(0))
    assert np.bincount(labels[places]).tolist() == [30, 20, 1]
    assert drawn(labels, 2000, np.random.default_rng(0)).tolist() == list(range(1000))
    assert drawn(labels, 50, np.random.default_rng(0)).tolist() == places.tolist()
