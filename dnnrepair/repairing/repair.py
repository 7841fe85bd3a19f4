"""The whole repair: split, diagnose, treat, and judge on what nothing saw."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dnnrepair import __version__
from dnnrepair.clock import Clock
from dnnrepair.progress import Progress, silent
from dnnrepair.repair_report import Course, RepairReport
from dnnrepair.repairing.ahead import Ahead, free_memory, jobs_for
from dnnrepair.repairing.baseline import at_random
from dnnrepair.repairing.checking import check_found, check_subject
from dnnrepair.repairing.course import INTERRUPTED, Trial
from dnnrepair.repairing.judging import judged, verdict
from dnnrepair.repairing.parts import SHARES, parts_of
from dnnrepair.repairing.standing import Budget
from dnnrepair.repairing.teaching import Teacher
from dnnrepair.report import ModelCard
from dnnrepair.swap_report import SwapReport
from dnnrepair.swapping.driver import Outcome
from dnnrepair.swapping.operation import Swapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.data import Samples
    from dnnrepair.finding import Rule
    from dnnrepair.recover.supplied import Train
    from dnnrepair.repairing.judging import Judged
    from dnnrepair.repairing.parts import Parts
    from dnnrepair.repairing.standing import State
    from dnnrepair.subject import Subject


@dataclass(frozen=True, kw_only=True)
class RepairOptions:
    """How a repair is run.

    Attributes:
        seed: of whatever is random.
        shares: of the data that train, that choose, and that judge.
        test: data that judge instead of the last share; None for none.
        budget: when to stop.
        baseline: try as many treatments at random, for comparison.
        progress: is told how far the work has come.
        train: trains copies, instead of recipes; see
            :func:`dnnrepair.recover.supplied.recover_with`. None for none.
        train_name: of that function, in words.
        folder: where finished trainings are kept: if the repair is killed, the same call goes on
            from there, to the same bits. None for nowhere.
        jobs: copies that are trained at a time, as far as there is memory; from 2 on in processes
            of their own with one thread each. What comes of it is the same.
    """

    seed: int = 0
    shares: tuple[float, float, float] = SHARES
    test: Samples | None = None
    budget: Budget = field(default_factory=Budget)
    baseline: bool = False
    progress: Progress = silent
    train: Train | None = None
    train_name: str = ""
    folder: Path | None = None
    jobs: int = 1


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What came of a repair.

    Attributes:
        report: all there is to say, but for what was written.
        swapped: the network in the end; the one that came if nothing was kept.
        before: the network as it came.
        teacher: with the trainings that were kept; its ``forget`` deletes them.
    """

    report: RepairReport
    swapped: Swapped
    before: Subject
    teacher: Teacher = field(default_factory=Teacher)

    @property
    def outcome(self) -> Outcome:
        """What :func:`dnnrepair.swapping.saving.save_swapped` writes."""
        report = SwapReport(
            tool_version=__version__,
            model=self.report.model,
            swaps=self.swapped.swaps,
            structural=self.swapped.structural,
            seed=self.report.seed,
        )
        return Outcome(swapped=self.swapped, before=self.before, report=report)


def repair(
    subject: Subject, rules: Sequence[Rule], options: RepairOptions | None = None
) -> Repaired:
    """Diagnose a network, try treatments on copies, and keep what measurably helps.

    Nothing is kept on the evidence of weights alone: a copy must clear the finding that it was
    treated for, and do better on data that it was not trained on.

    Raises:
        NothingToFixError: no error and no warning is found.
        TooLittleDataError: there are too few samples to judge, or to find anything.
        DataError: there are no data, or no labels.
        ModelError: only weights are known, or the network is no graph.
        OutputError: trainings cannot be kept where they were to be.
    """
    options = options or RepairOptions()
    check_subject(subject)
    with _teacher(options) as teacher:
        return _repaired(subject, rules, options, teacher)


def _data(subject: Subject, options: RepairOptions) -> tuple[Samples | None, Samples | None]:
    """Return the data to cut, and those that judge; None for a part of the first."""
    if options.test is None and subject.training is not None:
        return subject.training, subject.samples
    return subject.samples, options.test


def _repaired(
    subject: Subject, rules: Sequence[Rule], options: RepairOptions, teacher: Teacher
) -> Repaired:
    clock = Clock()
    samples, test = _data(subject, options)
    parts = parts_of(samples, test, options.seed, options.shares)
    jobs, fewer = jobs_for(subject, parts.search, options.jobs, free_memory())
    trial = Trial(
        parts=parts,
        rules=rules,
        seed=options.seed,
        budget=options.budget,
        progress=options.progress,
        teacher=teacher,
        ahead=Ahead(jobs=jobs),
    )
    options.progress.stage("diagnosing", None)
    first = trial.state(replace(subject, samples=parts.seen))
    clock.lap("diagnosing")
    check_found(first, parts)
    options.progress.stage("treating", options.budget.attempts)
    last, reason = trial.run(first)
    clock.lap("treating")
    before = judged(subject, parts.held_out)
    compared = options.baseline and reason != INTERRUPTED
    baseline = _baseline(trial, first, before, options, clock) if compared else None
    course = _course(trial, last, before)
    clock.lap("judging")
    report = RepairReport(
        tool_version=__version__,
        model=_card(subject, before),
        parts=parts.told,
        found=first.roots,
        course=course,
        baseline=baseline,
        accepted=bool(course.kept),
        reason=reason,
        skipped=tuple(trial.skipped),
        notes=(*subject.notes, *_few(parts), *filter(None, [fewer])),
        seed=options.seed,
        stages=tuple(clock.stages),
        interrupted=reason == INTERRUPTED,
    )
    swapped = Swapped(subject=last.subject, swaps=last.swaps, structural=last.structural)
    return Repaired(report=report, swapped=swapped, before=subject, teacher=teacher)


@contextmanager
def _teacher(options: RepairOptions) -> Iterator[Teacher]:
    """Yield who trains; what processes train is kept at least until all is over."""
    teacher = Teacher(function=options.train, name=options.train_name, folder=options.folder)
    if options.folder is not None or options.jobs < 2:  # noqa: PLR2004 - one at a time
        yield teacher
        return
    with TemporaryDirectory(prefix="dnnrepair-") as folder:
        yield replace(teacher, folder=Path(folder))


def _course(trial: Trial, last: State, before: Judged) -> Course:
    held_out = trial.parts.held_out
    after = judged(last.subject, held_out)
    return Course(
        attempts=tuple(trial.attempts),
        left=last.roots,
        verdict=verdict(before, after, held_out, "held-out"),
        before=before.score,
        after=after.score,
    )


def _baseline(
    trial: Trial, first: State, before: Judged, options: RepairOptions, clock: Clock
) -> Course:
    """Return what as many treatments come to that are drawn at random."""
    options.progress.stage("treating at random", len(trial.attempts))
    other = replace(trial, attempts=[], skipped=[])
    found = _course(other, at_random(other, first, len(trial.attempts)), before)
    clock.lap("the random baseline")
    return found


def _few(parts: Parts) -> tuple[str, ...]:
    enough = 512  # of dnnrepair.diagnose: per-unit claims need this many
    if parts.seen.size >= enough:
        return ()
    return (
        f"{parts.seen.size} samples were diagnosed; what is said of single units needs {enough}",
    )


def _card(subject: Subject, before: Judged) -> ModelCard:
    facts, right = subject.facts, before.score.right
    return ModelCard(
        name=facts.model,
        form=subject.form,
        digest=subject.digest,
        mode=facts.mode,
        parameters=sum(prod(i.shape) for i in subject.infos.values() if not i.buffer),
        data=facts.data or (subject.samples.name if subject.samples else ""),
        samples=subject.samples.size or 0 if subject.samples else 0,
        task=str(facts.task),
        loss=facts.loss,
        accuracy=None if right is None else right.value,
        mean_loss=before.score.loss,
        notes=subject.notes,
    )
