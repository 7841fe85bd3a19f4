"""Fitness functions against their formulas in plain double precision."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from dnnrepair.errors import SettingError
from dnnrepair.fitness import Arachne, Margin, Outputs, Regression
from dnnrepair.fitness.fitness import SCALE, exact_sums
from dnnrepair.fitness.outputs import recall_nothing
from dnnrepair.observation import Task
from dnnrepair.population.scores import Judge
from dnnrepair.population.values import Dense

if TYPE_CHECKING:
    from dnnrepair.fitness import Fitness

seeds = st.integers(0, 10**6)


def loss_of(row: list[float], label: int) -> float:
    """Return the cross entropy, NaN where it has no value."""
    if any(map(math.isnan, row)) or max(row) == math.inf or max(row) == -math.inf:
        return math.nan
    top = max(row)
    return top + math.log(sum(math.exp(value - top) for value in row)) - row[label]


def arachne(row: list[float], label: int) -> tuple[bool, float]:
    """Return whether a row is right, and its term."""
    right = not any(map(math.isnan, row)) and row[label] >= max(row)
    if right:
        return True, 1.0
    loss = loss_of(row, label)
    return False, 0.0 if math.isnan(loss) else 1 / (1 + loss)


def drawn(seed: int, classes: int, *, special: bool = False, ordered: bool = False) -> Any:
    """Return logits ``(C, p, rows)`` with many ties, unpatched ones, units and labels."""
    rng = torch.Generator().manual_seed(seed)
    rows, p = 33, 3
    base = torch.randint(-4, 5, (rows, classes), generator=rng) / 2
    labels = torch.randint(classes, (rows,), generator=rng)
    labels = labels.sort().values if ordered else labels
    units = torch.randperm(classes, generator=rng)[: 1 + seed % min(classes, 5)]
    changed = torch.randint(-4, 5, (len(units), p, rows), generator=rng) / 2
    if special:
        for value in (math.nan, math.inf, -math.inf):
            changed[torch.rand(changed.shape, generator=rng) < 0.1] = value
    full = base.t().unsqueeze(1).repeat(1, p, 1)
    full[units] = changed
    memory: dict[Any, Any] = {}

    def recall(key: Any, make: Any) -> Any:
        if key not in memory:
            memory[key] = make()
        return memory[key]

    sparse = Outputs(changed, tuple(units.tolist()), base, labels, recall)
    whole = Outputs(full.contiguous(), None, None, labels, recall_nothing)
    return full, labels, sparse, whole


@settings(max_examples=25)
@given(seeds, st.integers(2, 40), st.booleans(), st.booleans())
@example(0, 40, False, True)
def test_arachne_is_its_formula(seed: int, classes: int, special: bool, ordered: bool) -> None:
    full, labels, sparse, whole = drawn(seed, classes, special=special, ordered=ordered)
    fitness = Arachne(torch.ones(len(labels)))
    for outputs in (sparse, whole):
        right, (terms,) = fitness.terms(outputs)
        for p in range(full.shape[1]):
            for row, label in enumerate(labels.tolist()):
                values = full[:, p, row].tolist()
                wanted, term = arachne(values, label)
                assert bool(right[p, row]) is wanted
                assert float(terms[p, row]) == pytest.approx(term, rel=3e-6, abs=1e-7)


@given(
    seeds, st.integers(2, 40), st.integers(1, 98), st.sampled_from([Arachne, Margin, Regression])
)
@example(0, 37, 1, Arachne)  # torch sums the last columns of a matrix in another order
def test_a_term_does_not_depend_on_where_its_row_lies(
    seed: int, classes: int, cut: int, kind: Any
) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(classes, 1, 99, generator=rng)
    labels = torch.randint(classes, (99,), generator=rng)
    values = torch.randn(99, classes, generator=rng)
    targets = values if kind is Regression else labels
    fitness = kind(torch.ones(99))

    def terms(part: slice) -> Tensor:
        some = logits[..., part].contiguous()
        found = fitness.terms(Outputs(some, None, None, targets[part], recall_nothing))
        own: Tensor = found[1][0]
        return own

    parts = [terms(slice(0, cut)), terms(slice(cut, None))]
    assert torch.equal(torch.cat(parts, 1), terms(slice(None)))


def test_the_label_wins_a_tie_and_nan_is_wrong() -> None:
    logits = torch.tensor([[1.0, 1.0, math.nan, math.inf], [1.0, 2.0, 0.0, math.inf]])
    outputs = Outputs(logits.unsqueeze(1), None, None, torch.zeros(4), recall_nothing)
    right, (terms,) = Arachne(torch.ones(4)).terms(outputs)
    assert right.tolist() == [[True, False, False, True]]
    assert terms[0].tolist() == [1.0, pytest.approx(1 / (1 + math.log1p(math.e))), 0.0, 1.0]


def test_arachne_weighs_targets_by_alpha_and_other_wrong_inputs_by_nothing() -> None:
    correct = torch.tensor([True, True, False, False])
    targets = torch.tensor([False, True, True, False])
    assert Arachne.of(correct, targets, alpha=10.0).weight.tolist() == [1, 10, 10, 0]
    assert Arachne.of(correct, targets, alpha=0.0).weight.tolist() == [1, 0, 0, 0]
    with pytest.raises(SettingError, match="alpha is -1"):
        Arachne.of(correct, targets, alpha=-1.0)


@given(seeds, st.integers(2, 12), st.sampled_from([0.25, 1.0, 7.0]))
def test_margin_is_its_formula(seed: int, classes: int, scale: float) -> None:
    full, labels, sparse, whole = drawn(seed, classes)
    fitness = Margin(torch.ones(len(labels)), scale)
    for outputs in (sparse, whole):
        right, (terms,) = fitness.terms(outputs)
        for p in range(full.shape[1]):
            for row, label in enumerate(labels.tolist()):
                values = full[:, p, row].tolist()
                gap = values[label] - max(values[:label] + values[label + 1 :])
                assert bool(right[p, row]) is (gap >= 0)
                wanted = min(1.0, max(0.0, 0.5 + gap / (2 * scale)))
                assert float(terms[p, row]) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("gap", "term"), [(-9, 0), (-1, 0), (0, 0.5), (0.5, 0.75), (1, 1), (9, 1)])
def test_margin_has_its_limits(gap: float, term: float) -> None:
    logits = torch.tensor([gap, 0.0]).view(2, 1, 1)
    outputs = Outputs(logits, None, None, torch.zeros(1), recall_nothing)
    right, (terms,) = Margin(torch.ones(1)).terms(outputs)
    assert float(terms) == term
    assert bool(right) is (gap >= 0)


@given(seeds, st.integers(1, 5), st.sampled_from([0.1, 1.0, 4.0]))
def test_regression_is_its_formula(seed: int, width: int, tolerance: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(width, 3, 20, generator=rng)
    targets = torch.randn(20, width, generator=rng)
    targets[:5] = values[:, 0, :5].t() + 0.5 * tolerance  # within it, and at its very border
    targets[5:8] = values[:, 1, 5:8].t()
    outputs = Outputs(values, None, None, targets, recall_nothing)
    right, (terms,) = Regression(torch.ones(20), tolerance).terms(outputs)
    for p in range(3):
        for row in range(20):
            errors = [
                abs(float(values[i, p, row]) - float(targets[row, i])) / tolerance
                for i in range(width)
            ]
            wanted = 1 / (1 + sum(e * e for e in errors) / width)
            assert bool(right[p, row]) is all(e <= 1 for e in errors)
            assert float(terms[p, row]) == pytest.approx(1 if right[p, row] else wanted, rel=1e-5)


def test_regression_takes_nan_for_wrong() -> None:
    outputs = Outputs(
        torch.tensor([[[math.nan, math.inf]]]), None, None, torch.zeros(2, 1), recall_nothing
    )
    right, (terms,) = Regression(torch.ones(2)).terms(outputs)
    assert not right.any()
    assert terms.tolist() == [[0.0, 0.0]]


@given(seeds, st.integers(1, 300), st.lists(st.integers(1, 299), max_size=6))
def test_sums_are_the_same_in_any_order_and_any_parts(seed: int, n: int, cuts: list[int]) -> None:
    rng = torch.Generator().manual_seed(seed)
    terms = torch.rand(3, n, generator=rng)
    weights = 10 * torch.rand(n, generator=rng) * SCALE
    whole = exact_sums(terms, weights)
    order = torch.randperm(n, generator=rng)
    assert torch.equal(exact_sums(terms[:, order], weights[order]), whole)
    edges = [0, *sorted({cut for cut in cuts if cut < n}), n]
    parts = [exact_sums(terms[:, a:b], weights[a:b]) for a, b in itertools.pairwise(edges)]
    assert torch.equal(torch.stack(parts).sum(0), whole)
    integers = [[int((t * w).round()) for t, w in zip(row, weights, strict=True)] for row in terms]
    assert whole.tolist() == [sum(row) for row in integers]  # Python's integers do not round


@pytest.mark.parametrize("weight", [[-1.0, 1.0], [math.nan, 1.0], [math.inf, 1.0], [[[1.0]]]])
@pytest.mark.parametrize("kind", [Arachne, Margin, Regression])
def test_unfit_weights_are_refused(kind: Any, weight: Any) -> None:
    with pytest.raises(SettingError, match="finite, at least 0"):
        kind(torch.tensor(weight))


@pytest.mark.parametrize("number", [0.0, -1.0, math.nan])
def test_settings_out_of_range_are_refused(number: float) -> None:
    with pytest.raises(SettingError, match="above 0"):
        Margin(torch.ones(1), number)
    with pytest.raises(SettingError, match="above 0"):
        Regression(torch.ones(1), number)


def judged(fitness: Fitness, prediction: Tensor, targets: Tensor, loss: str) -> Any:
    """Return verdicts ``(p, n)`` and sums ``(F, p)`` for predictions ``(p, n, ...)``."""
    facts: Any = SimpleNamespace(squashed=False, task=Task.CLASSIFY, loss=loss)
    judge = Judge(fitness, facts)
    checked = judge.check(tuple(prediction.shape[1:]), targets)
    outputs = judge.outputs(Dense(prediction), checked, recall_nothing)
    return judge.judge(outputs, checked, fitness.weights[:, 0] * SCALE)


@given(seeds, st.booleans())
def test_tokens_and_pixels_count_as_one_input_each(seed: int, pixels: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    place = (2, 3) if pixels else (6,)
    logits = torch.randn(2, 5, *place, 4, generator=rng)
    targets = torch.randint(4, (5, *place), generator=rng)
    targets[torch.rand(targets.shape, generator=rng) < 0.3] = -100
    targets[0] = -100  # an input without any label
    weights = torch.rand(5, generator=rng)
    given_logits = logits.movedim(-1, 2) if pixels else logits
    right, sums = judged(Arachne(weights), given_logits, targets, "cross_entropy")
    for p in range(2):
        total = 0.0
        for n in range(5):
            cells = [
                arachne(row.tolist(), int(label))
                for row, label in zip(logits[p, n].reshape(-1, 4), targets[n].view(-1), strict=True)
                if label != -100
            ]
            assert bool(right[p, n]) is all(ok for ok, _ in cells)
            mean = sum(term for _, term in cells) / max(len(cells), 1)
            total += float(weights[n]) * mean
        assert float(sums[0, p]) / SCALE == pytest.approx(total, rel=1e-5)


@given(seeds, st.sampled_from(["bce", "bce_logits"]), st.booleans())
def test_one_output_is_the_chance_of_the_second_class(seed: int, loss: str, flat: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 8, generator=rng, dtype=torch.float64)
    targets = torch.randint(2, (8,), generator=rng)
    prediction = logits.sigmoid() if loss == "bce" else logits
    prediction = prediction if flat else prediction.unsqueeze(-1)
    right, sums = judged(Arachne(torch.ones(8, dtype=torch.float64)), prediction, targets, loss)
    for p in range(2):
        cells = [arachne([0.0, float(x)], int(t)) for x, t in zip(logits[p], targets, strict=True)]
        assert right[p].tolist() == [ok for ok, _ in cells]
        assert float(sums[0, p]) / SCALE == pytest.approx(sum(t for _, t in cells), rel=1e-6)
