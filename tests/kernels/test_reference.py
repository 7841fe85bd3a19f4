"""The kernels in plain torch say what the patched layers say, whatever is evaluated beside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.errors import DataError, SettingError
from dnnrepair.kernels import reference
from dnnrepair.kernels.tasks import Activation, ConvTail, Head, Scoring, Tail, grouped

MODULES: dict[str, nn.Module] = {
    "identity": nn.Identity(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(0.3),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "silu": nn.SiLU(),
    "elu": nn.ELU(0.3),
}


def draw(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def drawn_scoring(rng: torch.Generator, inputs: int, classes: int) -> Scoring:
    labels = torch.randint(classes, (inputs,), generator=rng, dtype=torch.int32)
    return Scoring(labels, 10 * torch.rand(inputs, generator=rng))


def plain_fitness(logits: Tensor, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """Return the fitness and verdicts of one candidate by torch's own loss; logits (N, C)."""
    labels = scoring.labels.long()
    right = logits.gather(1, labels[:, None])[:, 0] == logits.max(dim=1).values
    loss = F.cross_entropy(logits, labels, reduction="none")
    term = torch.where(right, torch.ones_like(loss), 1 / (1 + loss))
    return (term * scoring.weights).sum(), right


def places_of(layer: nn.Linear, count: int, rng: torch.Generator) -> list[tuple[int, int]]:
    """Draw (unit, feature) pairs; the feature after the last is the bias."""
    width = layer.in_features + 1
    chosen = torch.randperm(layer.out_features * width, generator=rng)[:count].tolist()
    return [divmod(place, width) for place in chosen]


def columns_of(features: Tensor, places: list[tuple[int, int]]) -> Tensor:
    wide = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)
    return wide[:, [feature for _, feature in places]].T.contiguous()


def patched(layer: nn.Linear, places: list[tuple[int, int]], change: Tensor) -> nn.Linear:
    copy = nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64)
    copy.load_state_dict(layer.state_dict())
    with torch.no_grad():
        for (unit, feature), value in zip(places, change, strict=True):
            bias = feature == layer.in_features
            (copy.bias[unit] if bias else copy.weight[unit, feature]).add_(value)
    return copy


sizes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**20),
        "inputs": st.integers(1, 20),
        "weights": st.integers(1, 8),
        "candidates": st.integers(1, 5),
        "classes": st.integers(2, 12),
    }
)


@given(sizes)
@settings(max_examples=40)
def test_the_head_is_the_patched_linear(size: dict[str, int]) -> None:
    rng = torch.Generator().manual_seed(size["seed"])
    features = draw(rng, size["inputs"], 6)
    layer = nn.Linear(6, size["classes"], dtype=torch.float64)
    places = places_of(layer, size["weights"], rng)
    changes = draw(rng, size["candidates"], len(places))
    scoring = drawn_scoring(rng, size["inputs"], size["classes"])
    task = Head(
        columns=columns_of(features, places),
        unit_of=torch.tensor([unit for unit, _ in places], dtype=torch.int32),
        base=layer(features).T.detach(),
        scoring=scoring,
    )
    found = reference.HeadReference(task)(changes, verdicts=True)
    assert found.verdicts is not None
    for row, change in enumerate(changes):
        wanted, right = plain_fitness(patched(layer, places, change)(features), scoring)
        assert found.fitness[row].item() == pytest.approx(wanted.item(), abs=1e-5)
        assert torch.equal(found.verdicts[row].bool(), right)


@given(sizes, st.sampled_from(sorted(MODULES)))
@settings(max_examples=40)
def test_the_tail_is_the_patched_hidden_layer(size: dict[str, int], name: str) -> None:
    rng = torch.Generator().manual_seed(size["seed"])
    features = draw(rng, size["inputs"], 6)
    first, second = nn.Linear(6, 5), nn.Linear(5, size["classes"])
    first, second, activation = first.double(), second.double(), MODULES[name]
    places = places_of(first, size["weights"], rng)
    changes = draw(rng, size["candidates"], len(places))
    scoring = drawn_scoring(rng, size["inputs"], size["classes"])
    units = sorted({unit for unit, _ in places})
    task = Tail(
        columns=columns_of(features, places),
        unit_of=torch.tensor([units.index(unit) for unit, _ in places], dtype=torch.int32),
        before=first(features).T[units].detach(),
        weight=second.weight[:, units].detach(),
        base=second(activation(first(features))).T.detach(),
        scoring=scoring,
        activation=Activation(name, 0.3),
    )
    found = reference.TailReference(task)(changes)
    for row, change in enumerate(changes):
        logits = second(activation(patched(first, places, change)(features)))
        wanted, _ = plain_fitness(logits, scoring)
        assert found.fitness[row].item() == pytest.approx(wanted.item(), abs=1e-5)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_conv_tail_is_the_patched_convolution(name: str) -> None:
    rng = torch.Generator().manual_seed(1)
    images = draw(rng, 4, 2, 6, 6)
    conv = nn.Conv2d(2, 3, 3, dtype=torch.float64)
    linear = nn.Linear(3 * 16, 7, dtype=torch.float64)
    changes = draw(rng, 3, 4)
    taps = torch.tensor([0, 7, 17, 3])  # of 2 * 3 * 3
    channels = torch.tensor([2, 0, 2, 0])
    before = conv(images).flatten(2).detach()  # (N, 3, 16)
    task = ConvTail(
        planes=F.unfold(images, 3)[:, taps],
        unit_of=torch.tensor([1, 0, 1, 0], dtype=torch.int32),
        before=before[:, [0, 2]],
        weight=linear.weight.detach().T.reshape(3, 16, 7)[[0, 2]],
        base=linear(MODULES[name](before).flatten(1)).detach(),
        activation=Activation(name, 0.3),
    )
    found = reference.ConvReference(task)(changes)
    for row, change in enumerate(changes):
        weight = conv.weight.detach().flatten(1).clone()
        weight[channels, taps] += change
        hidden = F.conv2d(images, weight.reshape(3, 2, 3, 3), conv.bias)
        torch.testing.assert_close(found[row], linear(MODULES[name](hidden).flatten(1)).detach())


def small_head(inputs: int = 50, searches: int = 1, dtype: torch.dtype = torch.float32) -> Head:
    rng = torch.Generator().manual_seed(4)
    labels = torch.randint(5, (inputs,), generator=rng, dtype=torch.int32)
    weights = torch.rand(searches, inputs, generator=rng)
    return Head(
        columns=draw(rng, 3, inputs).to(dtype),
        unit_of=torch.tensor([4, 0, 4], dtype=torch.int32),
        base=draw(rng, 5, inputs).to(dtype),
        scoring=Scoring(labels, weights if searches > 1 else weights[0]),
    )


@given(st.permutations(range(7)), st.integers(1, 2000))
@settings(max_examples=20)
def test_neighbors_and_blocks_change_no_bit(order: list[int], block: int) -> None:
    task = small_head()
    changes = torch.randn(7, 3, generator=torch.Generator().manual_seed(2))
    wanted = reference.HeadReference(task)(changes).fitness
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "BLOCK", block)
        found = reference.HeadReference(task)(changes[order]).fitness
    assert torch.equal(found, wanted[order])


def test_each_search_weighs_inputs_in_its_own_way() -> None:
    task = small_head(searches=3)
    changes = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    found = reference.HeadReference(task)(changes).fitness
    for search in range(3):
        alone = Scoring(task.scoring.labels, task.scoring.weights[search])
        single = Head(columns=task.columns, unit_of=task.unit_of, base=task.base, scoring=alone)
        rows = slice(2 * search, 2 * search + 2)
        assert torch.equal(reference.HeadReference(single)(changes[rows]).fitness, found[rows])


def test_the_label_wins_a_tie_and_nan_loses() -> None:
    logits = torch.tensor([[1.0, 2.0, torch.nan, 0.0], [1.0, 3.0, 0.0, torch.nan]])[:, None]
    term, right = reference.terms(logits, torch.tensor([0, 0, 0, 0], dtype=torch.int32))
    loss = torch.log(1 + torch.tensor(1.0).exp())
    assert right.tolist() == [[True, False, False, False]]
    torch.testing.assert_close(term, torch.tensor([[1.0, 1 / (1 + loss.item()), 0.0, 0.0]]))


def test_infinite_logits_have_their_place() -> None:
    top = torch.inf
    logits = torch.tensor([[top, -top, 0.0, -top], [0.0, 0.0, top, -top]])[:, None]
    term, right = reference.terms(logits, torch.zeros(4, dtype=torch.int32))
    assert term.tolist() == [[1.0, 0.0, 0.0, 1.0]]
    assert right.tolist() == [[True, False, False, True]]


def test_weights_are_grouped_by_unit_in_their_order() -> None:
    groups = grouped(torch.tensor([2, 0, 2, 3], dtype=torch.int32), 5)
    assert groups.order.tolist() == [1, 0, 2, 3]
    assert groups.starts.tolist() == [0, 1, 1, 3, 4, 4]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("columns", {"columns": torch.zeros(3, 9)}),
    ("outside", {"unit_of": torch.tensor([0, 5, 1], dtype=torch.int32)}),
    ("unit_of is", {"unit_of": torch.zeros(2, dtype=torch.int32)}),
    ("no weight", {"unit_of": torch.zeros(0, dtype=torch.int32), "columns": torch.zeros(0, 50)}),
    ("a label", {"scoring": Scoring(torch.full((50,), 5), torch.ones(50))}),
    ("whole numbers", {"base": torch.zeros(5, 50, dtype=torch.int64)}),
    ("labels is", {"scoring": Scoring(torch.zeros(5), torch.ones(50))}),
    ("not finite", {"scoring": Scoring(torch.zeros(50), torch.full((50,), torch.nan))}),
]


@pytest.mark.parametrize(("words", "wrong"), BAD)
def test_tensors_that_do_not_fit_are_refused(words: str, wrong: dict[str, Any]) -> None:
    task = small_head()
    right = {
        "columns": task.columns,
        "unit_of": task.unit_of,
        "base": task.base,
        "scoring": task.scoring,
    }
    with pytest.raises(DataError, match=words):
        Head(**{**right, **wrong})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (torch.zeros(0, 3), "give a row per patch"),
        (torch.zeros(4, 2), "give a row per patch"),
        (torch.zeros(4), "give a row per patch"),
        (torch.zeros(4, 3), "do not divide"),
    ],
)
def test_changes_that_do_not_fit_are_refused(changes: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        reference.HeadReference(small_head(searches=3))(changes)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(SettingError, match="'swish'; known are identity, relu"):
        Activation("swish")
