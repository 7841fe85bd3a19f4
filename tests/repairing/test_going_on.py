"""A repair that was killed goes on to the same bits, and copies trained ahead change nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from dnnrepair.bits import digest
from dnnrepair.files import OutputError
from dnnrepair.progress import Silent
from dnnrepair.recover import Recipe, recover
from dnnrepair.repair_report import RepairReport
from dnnrepair.repairing.ahead import jobs_for
from dnnrepair.repairing.course import Trial
from dnnrepair.repairing.repair import Repaired, RepairOptions, repair
from dnnrepair.repairing.standing import Budget, State
from dnnrepair.repairing.treatment import treatments
from dnnrepair.selection import choose_rules
from dnnrepair.subject import Subject

Faulty = Callable[[str], Subject]
RULES = choose_rules((), (), {})
SOME = RepairOptions(budget=Budget(seconds=None, attempts=4))


def timeless(report: RepairReport) -> str:
    """Return a report as text without what the clock said."""
    attempts = tuple(replace(one, seconds=0.0) for one in report.course.attempts)
    return repr(replace(report, stages=(), course=replace(report.course, attempts=attempts)))


def same(one: Repaired, other: Repaired) -> None:
    assert timeless(one.report) == timeless(other.report)
    states = [dict(found.swapped.subject.tensors) for found in (one, other)]
    assert digest(states[0]) == digest(states[1])


class Killing(Silent):
    """Kills its process with signal 9 when an attempt begins."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt

    def note(self, text: str) -> None:
        if text.startswith(f"{self.attempt}:"):
            os.kill(os.getpid(), signal.SIGKILL)


def killed(subject: Subject, options: RepairOptions) -> None:
    """Run a repair in a process that is killed on the way."""
    child = os.fork()
    if not child:
        try:
            repair(subject, RULES, options)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was over before it could be killed"
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.fixture
def dead(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """Return a network of whose treatments only the second one is kept."""

    def worth(self: Trial, before: State, after: State, code: str) -> tuple[bool, str]:
        del before, after, code
        return len(self.attempts) == 1, "as it was told"

    monkeypatch.setattr(Trial, "worth", worth)
    return faulty("dead")


def test_a_killed_repair_goes_on_to_the_same_bits(
    dead: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = repair(dead, RULES, SOME)
    assert [attempt.kept for attempt in straight.report.course.attempts[:2]] == [False, True]
    kept = replace(SOME, folder=tmp_path / "kept")
    killed(dead, replace(kept, progress=Killing(2)))
    done = [*(tmp_path / "kept").glob("*.done")]
    assert len(done) == 1
    trained: list[nn.Module] = []
    original = recover

    def counting(module: nn.Module, *args: object, **more: object) -> object:
        trained.append(module)
        return original(module, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("dnnrepair.repairing.teaching.recover", counting)
    resumed = repair(dead, RULES, kept)
    same(straight, resumed)
    trainings = sum(attempt.epochs > 0 for attempt in straight.report.course.attempts)
    assert len(trained) == trainings - 1, "the first training was not done again"
    assert resumed.report.course.attempts[0].seconds > 0
    resumed.teacher.forget()
    assert not (tmp_path / "kept").exists()


def test_seconds_of_the_run_before_count(dead: Subject, tmp_path: Path) -> None:
    kept = replace(SOME, folder=tmp_path / "kept")
    killed(dead, replace(kept, progress=Killing(2)))
    (done,) = (tmp_path / "kept").glob("*.done")
    held = torch.load(done, weights_only=True)
    torch.save({**held, "seconds": 1e6}, done)
    found = repair(dead, RULES, replace(kept, budget=Budget(seconds=1e5, attempts=3)))
    assert len(found.report.course.attempts) == 1
    assert found.report.reason == "the budget of 100000 s is spent"
    assert not found.report.accepted


@pytest.mark.parametrize("content", [b"", b"no training at all"])
def test_what_is_damaged_is_trained_again(dead: Subject, tmp_path: Path, content: bytes) -> None:
    kept = replace(SOME, folder=tmp_path / "kept", budget=Budget(seconds=None, attempts=1))
    straight = repair(dead, RULES, kept)
    (done,) = (tmp_path / "kept").glob("*.done")
    done.write_bytes(content)
    done.with_suffix(".part").write_bytes(content)
    same(straight, repair(dead, RULES, kept))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize("jobs", [2, 3])
def test_copies_trained_ahead_change_nothing(dead: Subject, jobs: int) -> None:
    same(repair(dead, RULES, SOME), repair(dead, RULES, replace(SOME, jobs=jobs)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_other_processes_do_train(
    dead: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, original = os.getpid(), recover

    def elsewhere(module: nn.Module, *args: object, **more: object) -> object:
        assert os.getpid() != here
        return original(module, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("dnnrepair.repairing.teaching.recover", elsewhere)
    once = replace(SOME, jobs=2, folder=tmp_path / "k", budget=Budget(seconds=None, attempts=2))
    found = repair(dead, RULES, once)
    assert any(attempt.epochs for attempt in found.report.course.attempts)


def test_a_process_that_fails_is_made_up_for(
    dead: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, original = os.getpid(), recover

    def failing(module: nn.Module, *args: object, **more: object) -> object:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory is short
        return original(module, *args, **more)  # type: ignore[arg-type]

    straight = repair(dead, RULES, SOME)
    monkeypatch.setattr("dnnrepair.repairing.teaching.recover", failing)
    same(straight, repair(dead, RULES, replace(SOME, jobs=2)))


def test_memory_says_how_many_train_at_a_time(dead: Subject) -> None:
    assert dead.samples is not None
    from dnnrepair.splitting import in_memory

    samples = in_memory(dead.samples)
    assert jobs_for(dead, samples, 4, None) == (4, "")
    assert jobs_for(dead, samples, 4, 2**40) == (4, "")
    assert jobs_for(dead, samples, 1, 0) == (1, "")
    few, why = jobs_for(dead, samples, 4, 1000 * 2**20)
    assert few == 2
    assert why.startswith("2 of 4 copies were trained at a time: one takes about 2")
    assert why.endswith("MiB, and 1,000 MiB were free")
    assert jobs_for(dead, samples, 4, 0)[0] == 1
    elsewhere = replace(dead, device=torch.device("cuda"))
    assert jobs_for(elsewhere, samples, 4, None) == (
        1,
        "treatments were tried one at a time: copies cannot be trained apart on cuda",
    )


def teach(module: nn.Module, train: object, valid: object, generator: torch.Generator) -> nn.Module:
    """Train as a user might, and return the network in another class."""
    del valid, generator
    x, y = train.inputs[0], train.targets  # type: ignore[attr-defined]
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return module


def test_a_function_trains_instead(faulty: Faulty) -> None:
    options = replace(SOME, train=teach, train_name="my.py:teach")
    found = repair(faulty("constant"), RULES, options).report
    assert found.accepted
    said = [text for attempt in found.course.attempts for text in attempt.done]
    assert "trained by my.py:teach: teach is done" in said
    assert not any(text.startswith("trained for") for text in said)


def test_a_function_that_returns_another_network_is_refused(faulty: Faulty) -> None:
    def other(*_: object) -> nn.Module:
        return nn.Sequential(nn.Linear(8, 4))

    options = replace(SOME, train=other, train_name="my.py:other")
    found = repair(faulty("constant"), RULES, options).report
    assert not found.accepted
    assert "my.py:other returned another network (0.weight differs); train the" in found.skipped[0]


def test_a_loss_that_is_no_longer_finite_goes_back_to_the_best_epoch(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = Recipe(optimizer="SGD", learning_rate=1e30, schedule="")
    for name in treatments:
        if treatments[name].recipe is not None:
            monkeypatch.setattr(treatments[name], "recipe", wild)
    found = repair(faulty("partly"), RULES, replace(SOME, budget=Budget(seconds=None, attempts=1)))
    (attempt,) = found.report.course.attempts
    assert "went back to the network as it came" in attempt.done[-1]
    after = found.swapped.subject.tensors.values()
    assert all(bool(value.isfinite().all()) for value in after)


def test_a_training_that_cannot_be_kept_ends_the_repair(dead: Subject, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file of the user's")
    with pytest.raises(OutputError, match=r"cannot keep trainings in .*kept: file exists; name a"):
        repair(dead, RULES, replace(SOME, folder=tmp_path / "kept"))
