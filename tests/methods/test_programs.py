"""Linear programs solved with cuts against the same programs written out and solved at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from dnnrepair.errors import DataError
from dnnrepair.methods import programs
from dnnrepair.methods.demands import Demands
from dnnrepair.methods.programs import Conflict, Solution, conflict, smallest
from dnnrepair.methods.rows import Rows
from dnnrepair.progress import Silent, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MARGIN, TOLERANCE = 0.1, 0.5


def made(seed: int, *, classes: int, count: int, depth: int, values: bool = False) -> Rows:
    """Return rows of which a few are to be fixed."""
    rng = torch.Generator().manual_seed(seed)
    base = torch.randn(count, classes, generator=rng)
    wanted = base + torch.randn(count, classes, generator=rng) * 0.4
    best = base.argmax(1) if classes > 1 else (base[:, 0] > 0).long()
    wrong = torch.rand(count, generator=rng) < 0.2
    labels = torch.where(wrong, (best + 1) % max(classes, 2), best)
    return Rows(
        features=torch.randn(count, depth, generator=rng),
        base=base,
        wanted=wanted if values else labels,
        owner=torch.arange(count),
        inputs=count,
    )


def targets(rows: Rows) -> torch.Tensor:
    """Return which rows are wrong now."""
    if not rows.labeled:
        return ((rows.base - rows.wanted).abs() > TOLERANCE).any(1)
    if rows.base.shape[1] == 1:
        return (rows.base[:, 0] > 0).long() != rows.wanted
    return rows.base.argmax(1) != rows.wanted


def demanded(rows: Rows) -> Demands:
    return Demands.of(rows, targets(rows), margin=MARGIN, tolerance=TOLERANCE)


def written_out(rows: Rows) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return ``a @ change >= b`` for all demands, one by one, and which are of rows to fix."""
    width, depth = rows.base.shape[1], rows.features.shape[1]
    a: list[Floats] = []
    b: list[float] = []
    soft: list[bool] = []

    def demand(coefficients: Any, now: float, fix: bool) -> None:
        feature = rows.features[row].double().numpy()
        a.append(np.concatenate([c * feature for c in coefficients]))
        least = 1e-5 * max(1.0, float(rows.base.abs().max()))
        b.append((MARGIN if fix else min(max(now, least), MARGIN)) - now)
        soft.append(fix)

    for row in range(len(rows.base)):
        fix = bool(targets(rows)[row])
        out = rows.base[row].double().numpy()
        if not rows.labeled:
            error = out - rows.wanted[row].double().numpy()
            for k in range(width):
                unit = np.eye(width)[k]
                demand(unit, TOLERANCE + error[k], fix)
                demand(-unit, TOLERANCE - error[k], fix)
            continue
        label = int(rows.wanted[row])
        if width == 1:
            sign = 1 if label else -1
            demand([sign], sign * out[0], fix)
            continue
        for k in set(range(width)) - {label}:
            demand(np.eye(width)[label] - np.eye(width)[k], out[label] - out[k], fix)
    assert a[0].shape == (width * depth,)
    return np.stack(a), np.array(b), np.array(soft)


def solved_at_once(rows: Rows, box: float, norm: str) -> float | None:
    """Return the smallest norm, None if nothing in the box meets all demands."""
    a, b, _ = written_out(rows)
    size = a.shape[1]
    one = np.eye(size)
    extent = size if norm == "l1" else 1
    bound = one if norm == "l1" else np.ones((size, 1))
    found = linprog(
        np.concatenate([np.zeros(size), np.ones(extent)]),
        np.block([[-a, np.zeros((len(a), extent))], [one, -bound], [-one, -bound]]),
        np.concatenate([-b, np.zeros(2 * size)]),
        bounds=[(-box, box)] * size + [(0, None)] * extent,
    )
    if found.status == 2:
        return None
    assert found.fun is not None
    return float(found.fun)


def norm_of(change: Floats, norm: str) -> float:
    return float(np.abs(change).sum() if norm == "l1" else np.abs(change).max())


def check_conflict(found: Conflict, demands: Demands, box: float) -> None:
    """Add the demands up by hand: no change in the box can meet them all."""
    total = np.zeros((demands.width + 1, demands.features.shape[1]))
    asked = 0.0
    for (row, which), weight in zip(found.demands, found.weights, strict=True):
        assert weight > 0
        total[demands.plus[row, which]] += weight * demands.features[row]
        total[demands.minus[row, which]] -= weight * demands.features[row]
        asked += weight * demands.needed[row, which]
    most = box * np.abs(total[: demands.width]).sum()
    assert asked > most
    assert found.excess == pytest.approx(asked - most, rel=1e-6, abs=1e-9)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(1, 4),
    count=st.integers(1, 30),
    depth=st.integers(1, 6),
    box=st.sampled_from([0.1, 1.0, 10.0]),
    norm=st.sampled_from(["l1", "linf"]),
    values=st.booleans(),
)
def test_cuts_find_what_the_whole_program_has(
    seed: int, classes: int, count: int, depth: int, box: float, norm: str, values: bool
) -> None:
    rows = made(seed, classes=classes, count=count, depth=depth, values=values)
    demands = demanded(rows)
    whole = solved_at_once(rows, box, norm)
    found = smallest(demands, box, norm, silent)
    if whole is None:
        assert isinstance(found, Conflict)
        check_conflict(found, demands, box)
    else:
        assert isinstance(found, Solution)
        assert norm_of(found.change, norm) == pytest.approx(whole, rel=1e-5, abs=1e-6)
        assert np.abs(found.change).max() <= box + 1e-9
        a, b, _ = written_out(rows)
        assert (a @ found.change.ravel() - b).min() > -1e-5


class Listening(Silent):
    """Counts the rounds."""

    rounds = 0

    def note(self, text: str) -> None:
        assert text.endswith("inequalities")
        self.rounds += 1


@pytest.mark.parametrize("many", [0, 20, 1000])
@pytest.mark.parametrize("norm", ["l1", "linf"])
def test_few_at_a_time_and_forgotten_are_as_good_as_all(
    many: int, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = made(3, classes=3, count=60, depth=40)
    whole = solved_at_once(rows, 10.0, norm)
    monkeypatch.setattr(programs, "AT_ONCE", 3)
    monkeypatch.setattr(programs, "MANY", many)
    heard = Listening()
    found = smallest(demanded(rows), 10.0, norm, heard)
    assert isinstance(found, Solution)
    assert norm_of(found.change, norm) == pytest.approx(whole, rel=1e-6)
    assert heard.rounds < 100


def test_endless_rounds_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "ROUNDS", 1)
    with pytest.raises(DataError, match="after 1 rounds"):
        smallest(demanded(made(3, classes=3, count=60, depth=40)), 10.0, "l1", silent)


def test_what_is_feasible_is_not_proved_impossible() -> None:
    demands = demanded(made(3, classes=3, count=60, depth=40))
    everything = np.argwhere(np.isfinite(demands.needed))
    with pytest.raises(DataError, match="too close to tell"):
        conflict(demands, everything, 10.0)


@pytest.mark.parametrize("norm", ["l1", "linf"])
def test_relaxed_keeps_what_is_right_and_misses_the_rest_least(norm: str) -> None:
    rows = made(1, classes=3, count=80, depth=5)
    demands, box = demanded(rows), 1.0
    assert isinstance(smallest(demands, box, norm, silent), Conflict)
    found = smallest(demands, box, norm, silent, relaxed=True)
    assert isinstance(found, Solution)
    a, b, soft = written_out(rows)
    assert (a @ found.change.ravel() - b)[~soft].min() > -1e-5
    size = a.shape[1]
    slack = np.eye(len(a))[:, soft]
    least = linprog(
        np.concatenate([np.zeros(size), np.ones(soft.sum())]),
        np.hstack([-a, -slack]),
        -b,
        bounds=[(-box, box)] * size + [(0, None)] * int(soft.sum()),
    )
    assert found.missed == pytest.approx(least.fun, rel=1e-4)
    missed = np.maximum(b - a @ found.change.ravel(), 0).sum()
    assert missed == pytest.approx(least.fun, rel=1e-4)


def test_two_labels_of_one_input_exclude_each_other() -> None:
    rows = made(5, classes=3, count=40, depth=60)
    features, base, wanted = rows.features.clone(), rows.base.clone(), rows.wanted.clone()
    features[7], base[7] = features[31], base[31]
    wanted[7], wanted[31] = base[7].argmax(), (base[7].argmax() + 1) % 3
    planted = Rows(features=features, base=base, wanted=wanted, owner=rows.owner, inputs=40)
    demands = demanded(planted)
    found = smallest(demands, 100.0, "l1", silent)
    assert isinstance(found, Conflict)
    check_conflict(found, demands, 100.0)
    assert {7, 31} == set(found.demands[:, 0].tolist())


def test_a_lead_too_small_to_survive_rounding_must_grow() -> None:
    base = torch.tensor([[0.0, 20.0, 20.0 + 2e-6], [0.0, 1.0, 20.0], [5.0, 0.0, 0.0]])
    rows = Rows(
        features=torch.ones(3, 2),
        base=base,
        wanted=torch.tensor([2, 2, 1]),
        owner=torch.arange(3),
        inputs=3,
    )
    fix = torch.tensor([False, False, True])
    demands = Demands.of(rows, fix, margin=0.1, tolerance=1.0)
    close = float(base[0, 2] - base[0, 1])
    assert demands.needed[0, 1] == pytest.approx(20 * 1e-5 - close, rel=1e-3)
    assert demands.needed[1, 1] == pytest.approx(0.1 - 19.0)
    assert demands.needed[2, 0] == pytest.approx(5.1)
    assert np.isneginf(demands.needed[[0, 1, 2], [2, 2, 1]]).all()
