"""How much a score changes with the attribute alone: by hand, and asked of prepared rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError
from dnnrepair.fairness.candidate import Candidate
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.cohort import Cohort
from dnnrepair.fairness.responses import Asking
from dnnrepair.fairness.trial import Trial
from dnnrepair.fairness.twins import Twins
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.subject import subject_of

ROWS = 60


def people(name: str, seed: int) -> Cohort:
    """Return rows of two numbers and three columns that say which of three values is theirs."""
    rng = np.random.default_rng(seed)
    groups, labels = rng.integers(0, 3, ROWS), torch.from_numpy(rng.integers(0, 2, ROWS))
    numbers = torch.from_numpy(rng.normal(0, 1, (ROWS, 2))).float()

    def samples(values: np.ndarray) -> ArraySamples:
        told = torch.nn.functional.one_hot(torch.from_numpy(values), 3).float()
        return ArraySamples((torch.cat([numbers, told], 1),), labels, name)

    return Cohort(
        name=name, samples=samples(groups), groups=groups, levels=("a", "b", "c"), positive=1,
        attribute="kind", twins=tuple(samples(np.full(ROWS, value)) for value in range(3)),
    )  # fmt: skip


@pytest.fixture
def case() -> Case:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    repair, select = people("repair", 1), people("select", 2)
    given = (repair.samples.inputs[0][:4], repair.samples.targets[:4])  # type: ignore[index]
    subject = subject_of(network.eval(), given, task="classify", loss="bce_logits")
    return Case(subject=subject, repair=repair, select=select, disparity=Disparity.named("flip"),
                names=("2.weight", "2.bias"))  # fmt: skip


def by_hand(cohort: Cohort, tensors: dict[str, torch.Tensor]) -> float:
    """Return the mean largest change of the score, person by person."""

    def score(row: np.ndarray) -> float:
        hidden = np.maximum(first @ row + offset, 0)
        return float(1 / (1 + np.exp(-(last @ hidden + shift)[0])))

    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    first, offset, last, shift = (tensors[name].detach().double().numpy() for name in names)
    changes = []
    for row in cohort.samples.inputs[0].double().numpy():
        others = [np.concatenate([row[:2], np.eye(3)[value]]) for value in range(3)]
        changes.append(max(abs(score(other) - score(row)) for other in others))
    return float(np.mean(changes))


def test_flips_are_those_counted_person_by_person(case: Case) -> None:
    own = dict(case.subject.tensors)
    responses = Asking.of(case.subject, case.select).responses()
    found = Twins.of(case, case.select).flips(responses)
    assert found == pytest.approx(by_hand(case.select, own), abs=1e-6)
    assert found > 0.01


def test_a_trial_prepares_its_rows_once_for_all_candidates(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial.of(case)
    own = dict(case.subject.tensors)
    assert trial.jury.before.gap == pytest.approx(by_hand(case.select, own), abs=1e-6)
    monkeypatch.setattr(Asking, "of", None)  # nothing can be prepared from here on
    for factor in (0.5, -3.0):
        changed = {name: own[name].detach() * factor for name in case.names}
        candidate = Candidate(name="scaled", method="descent", tensors=changed)
        (judged,) = trial.judge(candidate)
        wanted = by_hand(case.select, {**own, **changed})
        assert (judged.gap, judged.expected) == pytest.approx((wanted, wanted), abs=1e-6)


def test_where_groups_are_compared_no_twin_is_asked(case: Case) -> None:
    grouped = replace(case, disparity=Disparity.named("dp"))
    twins = Twins.of(grouped, grouped.select)
    assert twins.askings == ()
    assert np.isnan(twins.flips(Asking.of(case.subject, case.select).responses()))


def test_a_case_of_twins_needs_the_attribute_among_the_inputs(case: Case) -> None:
    with pytest.raises(DataError, match="--objective flip needs 'kind' among the network's inputs"):
        replace(case, repair=replace(case.repair, twins=()))
