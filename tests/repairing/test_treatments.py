"""Each treatment keeps what it promises to keep, and says where it is of no use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from dnnrepair.errors import DnnRepairError
from dnnrepair.finding import rules
from dnnrepair.progress import silent
from dnnrepair.recover import Lesson
from dnnrepair.repairing.course import Trial
from dnnrepair.repairing.judging import better, judged
from dnnrepair.repairing.redrawing import redrawn
from dnnrepair.repairing.treatment import Case, Cost, suitable, treatments
from dnnrepair.subject import Subject

Faulty = Callable[[str], Subject]
EXACT_AT_FIRST = (
    ("insert batch norm and train", "dead"),
    ("normalize input and train", "raw"),
    ("prelu graft and train", "dead"),
    ("revive units and train", "partly"),
)


def case_of(subject: Subject, trial: Trial, code: str = "") -> Case:
    state = trial.state(subject)
    return Case(
        subject=replace(subject, samples=trial.parts.search),
        code=code,
        findings=tuple(f for f in state.findings if f.code == code),
        lesson=Lesson(train=trial.parts.search, valid=trial.parts.selection),
        generator=torch.Generator().manual_seed(0),
        seconds=None,
        progress=silent,
    )


@pytest.mark.parametrize(("name", "fault"), EXACT_AT_FIRST)
def test_what_begins_as_the_same_function_does(
    name: str, fault: str, faulty: Faulty, trial_of: Callable[..., Trial]
) -> None:
    subject = faulty(fault)
    trial = trial_of(subject)
    begun = treatments[name]().begin(case_of(subject, trial)).subject
    x = trial.parts.held_out.inputs
    before, after = subject.running.run(x), begun.running.run(x)
    assert float((after - before).abs().max()) <= 1e-4 * float(before.abs().max())
    assert begun.digest != subject.digest


def test_re_estimated_statistics_are_those_of_the_data(
    faulty: Faulty, trial_of: Callable[..., Trial]
) -> None:
    subject = faulty("stale")
    trial = trial_of(subject)
    found = treatments["re-estimate statistics"]().treat(case_of(subject, trial)).subject
    hidden = trial.parts.search.inputs[0] @ subject.tensors["0.weight"].mT
    hidden = hidden + subject.tensors["0.bias"]
    mean, variance = found.tensors["1.running_mean"], found.tensors["1.running_var"]
    torch.testing.assert_close(mean, hidden.mean(0), atol=0.05, rtol=0.05)
    torch.testing.assert_close(variance, hidden.var(0), atol=0.05, rtol=0.1)
    assert torch.equal(found.tensors["0.weight"], subject.tensors["0.weight"])


def test_drawing_anew_forgets_all_and_spares_no_nan(faulty: Faulty) -> None:
    subject = faulty("nan")
    rng = torch.Generator().manual_seed(1)
    found = redrawn(subject, rng)
    assert all(bool(value.isfinite().all()) for value in found.tensors.values())
    assert not found.tensors["0.bias"].any()
    assert float(found.tensors["0.weight"].std()) == pytest.approx((2 / 8) ** 0.5, rel=0.25)  # He
    again = redrawn(subject, torch.Generator().manual_seed(1))
    assert again.digest == found.digest


def test_the_least_risk_comes_first() -> None:
    for code in rules:
        costs = [kind.cost for kind in suitable(code)]
        assert costs == sorted(costs)
    assert suitable("BN002")[0].name == "re-estimate statistics"
    assert suitable("OUT001")[0].name == "remove output activation and train"
    assert not suitable("MOD001"), "no treatment for what is written in the code"


def test_every_treatment_says_what_it_does_and_whether_it_trains() -> None:
    for name in treatments:
        kind = treatments[name]
        assert kind.__doc__
        assert kind.codes
        assert (kind.recipe is None) is (kind.cost is Cost.EXACT)
        known = {*rules, *(code.rstrip("0123456789") for code in rules)}
        assert set(kind.codes) <= known, name


def test_what_is_not_possible_is_said(faulty: Faulty, trial_of: Callable[..., Trial]) -> None:
    subject = faulty("dead")
    trial = trial_of(subject)
    state = trial.state(subject)
    assert trial.attempt(state, treatments["re-estimate statistics"](), "") is state
    assert not trial.attempts
    assert trial.skipped == ["re-estimate statistics: this network has no batch norms"]
    with pytest.raises(DnnRepairError, match="no activation is a sigmoid or tanh"):
        treatments["elu and train afresh"]().treat(case_of(subject, trial))


def test_better_is_a_lower_loss_without_a_certain_loss_of_accuracy(
    faulty: Faulty, trial_of: Callable[..., Trial]
) -> None:
    part = trial_of(faulty("healthy")).parts.selection
    good, bad, broken = (judged(faulty(one), part) for one in ("healthy", "constant", "nan"))
    assert better(bad, good)[0]
    assert better(broken, good)[0]
    assert better(good, bad) == (
        False,
        f"its loss does not fall: {good.score.loss:.4g} to {bad.score.loss:.4g}",
    )
    assert better(good, broken) == (False, "its loss is not finite")
    cheat = replace(bad, score=replace(bad.score, loss=good.score.loss / 2))
    assert not better(good, cheat)[0]
    assert better(good, cheat)[1].startswith("it loses accuracy: -")
