"""One run of the benchmark of the whole repair: spoil a network, repair it, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path  # read by the journal  # noqa: TC003
from time import process_time
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dnnrepair.bench.datasets import fashion_mnist, scaled
from dnnrepair.bench.faulty import HEALTHY, TRAININGS, TWINS, given, trained
from dnnrepair.data import ArraySamples
from dnnrepair.diagnose import diagnose
from dnnrepair.finding import Severity
from dnnrepair.layers import everything
from dnnrepair.models.views import images
from dnnrepair.repairing.baseline import at_random
from dnnrepair.repairing.course import Trial
from dnnrepair.repairing.judging import judged
from dnnrepair.repairing.parts import parts_of
from dnnrepair.repairing.standing import URGENT, Budget
from dnnrepair.selection import choose_rules
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.repairing.parts import Parts
    from dnnrepair.subject import Subject

DIGITS, FASHION = "digits", "Fashion-MNIST"
NEAR = 0.02  # accuracy below the healthy twin's that counts as repaired
GAINED = 0.10  # accuracy above the faulty network's that does, too
_SIDE = 8
_TRAIN, _TEST = 1800, 1500  # of Fashion-MNIST
_SHARES = (0.8, 0.2, 0.0)  # of the training data; the test data judge
_ATTEMPTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is to be done.

    Attributes:
        data: ``DIGITS`` or ``FASHION``.
        training: its place in ``TRAININGS``.
        network: that is spoiled.
        seed: of everything random.
        number: of the run, so that each draws its own treatments at random.
        folder: of the data.
    """

    data: str
    training: int
    network: str
    seed: int
    number: int = 0
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What a repair came to.

    Attributes:
        accuracy: on the test data.
        gone: the leading finding is gone there, and no error is left.
        repaired: it is gone, and the accuracy is near the twin's or well above the fault's.
        done: the treatments that were kept.
        attempts: that were made.
        epochs: that their copies were trained.
    """

    accuracy: float
    gone: bool
    repaired: bool
    done: tuple[str, ...]
    attempts: int
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run showed.

    Attributes:
        run: which.
        code: of the leading finding, "" if there was none.
        faulty: accuracy of the spoiled network on the test data.
        twin: that of the healthy twin.
        treated: what the repair came to.
        random: what treatments at random came to, at least as many, with as many epochs.
        seconds: of processor time that it took.
    """

    run: Run
    code: str
    faulty: float
    twin: float
    treated: End
    random: End
    seconds: float


def carried_out(run: Run) -> RunResult:
    """Spoil a network, repair it, and compare it with its twin and with random treatments."""
    torch.set_num_threads(1)
    x, y, test_x, test_y = _data(run.data, run.folder)
    training = TRAININGS[run.training]
    view = given(training, run.network, x)
    test = ArraySamples((given(training, run.network, test_x),), test_y, "test data")
    module = trained(training, run.network, view, y, run.seed)
    subject = subject_of(module, (view, y), loss="cross_entropy")
    faulty = _accuracy(subject, test)
    twin = _twin(run.data, TWINS.get(run.network, run.network), run.seed, run.folder)
    parts = parts_of(subject.samples, test, run.seed, _SHARES)
    began = process_time()
    trial = _trial(parts, run.seed)
    first = trial.state(subject)
    code = first.roots[0].code if first.roots else ""
    last, _ = trial.run(first)
    seconds = process_time() - began
    other = _trial(parts, run.seed + run.number)
    chance = at_random(other, first, len(trial.attempts), _epochs(trial))

    def end(one: Trial, found: Subject) -> End:
        accuracy = _accuracy(found, test)
        gone = bool(code) and _gone(found, test, code, run.seed)
        good = accuracy >= twin - NEAR or accuracy >= faulty + GAINED
        done = tuple(attempt.treatment for attempt in one.attempts if attempt.kept)
        return End(
            accuracy=accuracy,
            gone=gone,
            repaired=gone and good,
            done=done,
            attempts=len(one.attempts),
            epochs=_epochs(one),
        )

    return RunResult(
        run=run,
        code=code,
        faulty=faulty,
        twin=twin,
        treated=end(trial, last.subject),
        random=end(other, chance.subject),
        seconds=seconds,
    )


def _epochs(trial: Trial) -> int:
    return sum(attempt.epochs for attempt in trial.attempts)


def _trial(parts: Parts, seed: int) -> Trial:
    budget = Budget(seconds=None, attempts=_ATTEMPTS)
    return Trial(parts=parts, rules=choose_rules((), (), {}), seed=seed, budget=budget)


def _gone(subject: Subject, test: ArraySamples, code: str, seed: int) -> bool:
    report = diagnose(replace(subject, samples=test), choose_rules((), (), {}), seed=seed)
    left = [f for f in everything(report.findings) if f.severity in URGENT]
    errors = [f for f in left if f.severity is Severity.ERROR]
    return not errors and code not in {f.code for f in left}


def _accuracy(subject: Subject, samples: ArraySamples) -> float:
    right = judged(subject, samples).score.right
    assert right is not None  # of a classifier  # noqa: S101
    return right.value


@lru_cache(maxsize=64)
def _twin(data: str, network: str, seed: int, folder: Path | None) -> float:
    """Return the accuracy of a network of the same architecture, trained as it should be."""
    x, y, test_x, test_y = _data(data, folder)
    module = trained(HEALTHY, network, given(HEALTHY, network, x), y, seed)
    with torch.no_grad():
        answered = module(given(HEALTHY, network, test_x)).argmax(1)
    return float((answered == test_y).double().mean())


@lru_cache(maxsize=2)
def _data(name: str, folder: Path | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images ``(N, 1, 8, 8)`` in [0, 1] and labels, to train on and to test on."""
    if name == DIGITS:
        found = images()
        return found.train_inputs, found.train_targets, found.test_inputs, found.test_targets
    assert folder is not None  # asked before  # noqa: S101
    read = fashion_mnist(folder)
    small = [
        F.adaptive_avg_pool2d(scaled(x), _SIDE)
        for x in (read.train_x[:_TRAIN], read.test_x[:_TEST])
    ]
    return small[0], read.train_y[:_TRAIN], small[1], read.test_y[:_TEST]
