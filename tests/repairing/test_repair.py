"""The loop finds the fault, treats it, and says what that did to data nothing saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from dnnrepair.bits import digest
from dnnrepair.data import ArraySamples
from dnnrepair.diagnose import diagnose
from dnnrepair.errors import DataError, ModelError, NothingToFixError
from dnnrepair.finding import Severity
from dnnrepair.progress import Silent
from dnnrepair.repair_report import RepairReport
from dnnrepair.repairing.repair import Repaired, RepairOptions, repair
from dnnrepair.repairing.standing import Budget
from dnnrepair.selection import choose_rules
from dnnrepair.subject import Subject, subject_of

Faulty = Callable[[str], Subject]
RULES = choose_rules((), (), {})
FAST = RepairOptions(budget=Budget(seconds=None, attempts=8))


def mended(subject: Subject, options: RepairOptions = FAST) -> Repaired:
    return repair(subject, RULES, options)


def accuracy(subject: Subject, samples: ArraySamples) -> float:
    """Count right answers without anything of the repair."""
    assert samples.targets is not None
    answers = subject.running.run(samples.inputs).argmax(1)
    return float((answers == samples.targets).double().mean())


@pytest.mark.parametrize(
    ("fault", "code", "treatments"),
    [
        ("stale", "BN002", {"re-estimate statistics"}),
        ("softmax", "OUT001", {"remove output activation and train"}),
        ("dead", "ACT001", {"revive units and train", "insert batch norm and train afresh"}),
        ("nan", "NUM001", {"train afresh", "insert batch norm and train afresh"}),
        ("constant", "INI001", {"train afresh", "insert batch norm and train afresh"}),
        ("raw", "DAT001", {"normalize input and train", "normalize input and train afresh"}),
    ],
)
def test_a_fault_is_treated_by_what_it_is_treated_with(
    fault: str, code: str, treatments: set[str], faulty: Faulty
) -> None:
    subject = faulty(fault)
    before = digest(dict(subject.tensors))
    found = mended(subject)
    course = found.report.course
    assert digest(dict(subject.tensors)) == before
    assert code in {finding.code for finding in found.report.found}
    assert found.report.accepted
    assert treatments & {attempt.treatment for attempt in course.kept}
    assert course.after.right is not None
    assert course.after.right.value > 0.8
    seen = replace(found.swapped.subject, samples=subject.samples)
    left = [f for f in diagnose(seen, RULES).findings if f.severity is Severity.ERROR]
    assert not left, "the diagnosis itself finds no error any more"


def test_what_it_counts_on_the_held_out_part_is_so(faulty: Faulty) -> None:
    subject = faulty("dead")
    x, y = torch.randn(300, 8), torch.randint(0, 4, (300,))
    test = ArraySamples((x,), y, "other data")
    found = mended(subject, replace(FAST, test=test))
    course = found.report.course
    assert course.before.right is not None
    assert course.after.right is not None
    assert course.before.right.value == pytest.approx(accuracy(subject, test))
    assert course.after.right.value == pytest.approx(accuracy(found.swapped.subject, test))
    assert course.verdict is not None
    gain = course.after.right.value - course.before.right.value
    assert course.verdict.gain.value == pytest.approx(gain)
    assert course.verdict.targets.hits - course.verdict.broken.hits == (
        course.after.right.hits - course.before.right.hits
    )


def test_the_module_that_comes_out_answers_as_it_was_judged(faulty: Faulty) -> None:
    found = mended(faulty("stale"))
    module, x = found.swapped.module, torch.randn(50, 8)
    with torch.no_grad():
        torch.testing.assert_close(module(x), found.swapped.subject.running.run((x,)))
    assert not found.swapped.structural, "only numbers changed"


def test_the_same_seed_gives_the_same_repair(faulty: Faulty) -> None:
    def timeless(report: RepairReport) -> str:
        attempts = tuple(replace(one, seconds=0.0) for one in report.course.attempts)
        return repr(replace(report, stages=(), course=replace(report.course, attempts=attempts)))

    one, other = mended(faulty("constant")), mended(faulty("constant"))
    assert timeless(one.report) == timeless(other.report)
    assert digest(dict(one.swapped.subject.tensors)) == digest(dict(other.swapped.subject.tensors))


def test_the_baseline_makes_as_many_attempts(faulty: Faulty) -> None:
    report = mended(faulty("softmax"), replace(FAST, baseline=True)).report
    assert report.baseline is not None
    assert len(report.baseline.attempts) == len(report.course.attempts)
    assert report.baseline.before == report.course.before
    assert {attempt.code for attempt in report.baseline.attempts} == {""}


def test_the_budget_ends_it(faulty: Faulty) -> None:
    one = mended(faulty("dead"), RepairOptions(budget=Budget(seconds=None, attempts=1))).report
    assert len(one.course.attempts) == 1
    assert "budget of 1 attempts is spent" in one.reason or one.reason == "nothing is left to treat"
    none = mended(faulty("dead"), RepairOptions(budget=Budget(seconds=1e-9))).report
    assert not none.course.attempts
    assert not none.accepted
    assert none.reason == "the budget of 1e-09 s is spent"


class Stopping(Silent):
    """Presses Ctrl-C when an attempt begins."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt

    def note(self, text: str) -> None:
        if text.startswith(f"{self.attempt}:"):
            raise KeyboardInterrupt


def test_what_was_kept_before_an_interrupt_is_reported(faulty: Faulty) -> None:
    found = mended(faulty("stale"), replace(FAST, progress=Stopping(1)))
    assert found.report.interrupted
    assert found.report.reason == "interrupted"
    assert not found.report.accepted
    assert found.swapped.subject.digest == faulty("stale").digest


def test_nothing_is_kept_that_does_not_help(faulty: Faulty) -> None:
    subject = faulty("dead")
    assert subject.samples is not None
    batch = subject.samples.example(900)
    labels = torch.randint(0, 4, (900,), generator=torch.Generator().manual_seed(5))
    noise = replace(subject, samples=ArraySamples(batch.inputs, labels, "noise"))
    options = RepairOptions(budget=Budget(seconds=None, attempts=3))
    for attempt in mended(noise, options).report.course.attempts:
        assert attempt.after is not None
        assert not attempt.kept or attempt.after.loss < attempt.before.loss


def test_a_healthy_network_is_left_alone(faulty: Faulty) -> None:
    with pytest.raises(NothingToFixError, match="no error and no warning in net on 720 samples"):
        mended(faulty("healthy"))


def test_nothing_is_kept_on_weights_alone(faulty: Faulty) -> None:
    subject = replace(faulty("constant"), samples=None)
    words = "there are no data: .* nothing is kept on them; give labeled data with --data"
    with pytest.raises(DataError, match=words):
        mended(subject)


def test_data_without_labels_do_not_judge(faulty: Faulty) -> None:
    subject = faulty("constant")
    bare = replace(subject, samples=ArraySamples((torch.randn(600, 8),), None, "x.npy"))
    with pytest.raises(DataError, match=r"x\.npy has no labels: .* give labeled data"):
        mended(bare)


def test_too_few_samples_are_refused(faulty: Faulty) -> None:
    few = ArraySamples((torch.randn(12, 8),), torch.arange(12) % 4, "few")
    with pytest.raises(DataError, match="few holds 12 samples, too few to train, choose and judge"):
        mended(replace(faulty("dead"), samples=few))


class Branching(nn.Module):
    """Decides by its data, which no graph can say."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(x)
        return y * 2 if float(x.sum()) > 0 else y


def test_what_is_no_graph_is_refused() -> None:
    subject = subject_of(Branching(), (torch.randn(600, 8), torch.arange(600) % 4))
    with pytest.raises(ModelError, match="could not be exported as a graph"):
        mended(subject)
