"""The whole repair: aim, split, let methods propose, choose, and judge on what nobody saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair import __version__
from dnnrepair.answers import Examination
from dnnrepair.choosing import choose
from dnnrepair.clock import Clock
from dnnrepair.errors import DnnRepairError, NoChangeError
from dnnrepair.goal import Aim, aim, aim_alike
from dnnrepair.methods.method import Problem
from dnnrepair.patch import Patch
from dnnrepair.patch_report import PartSize, PatchReport, Point
from dnnrepair.plain import plain
from dnnrepair.population.places import with_twins
from dnnrepair.progress import Progress, silent
from dnnrepair.report import ModelCard
from dnnrepair.splitting import SHARES, cut, in_memory, part_of
from dnnrepair.verify import accepted, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dnnrepair.answers import Answers
    from dnnrepair.data import ArraySamples, Samples
    from dnnrepair.goal import Goal
    from dnnrepair.methods.method import Method, Part, Proposal
    from dnnrepair.risk import Risk
    from dnnrepair.subject import Subject
    from dnnrepair.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class PatchOptions:
    """How a repair is run.

    Attributes:
        seed: of whatever is random.
        shares: of the data that are searched, that choose, and that judge.
        test: data that judge instead of the last share; None for none.
        layers: that may change; empty for any.
        checkpoint: the file of the patch, beside which long searches are kept; None for nowhere.
        progress: is told how far the work has come.
    """

    seed: int = 0
    shares: tuple[float, float, float] = SHARES
    test: Samples | None = None
    layers: tuple[str, ...] = ()
    checkpoint: Path | None = None
    progress: Progress = field(default=silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a repair.

    Attributes:
        report: all there is to say.
        patches: of the report's points, in their order.
    """

    report: PatchReport
    patches: tuple[Patch, ...]

    @property
    def chosen(self) -> Patch | None:
        """The patch that was taken, None if none was."""
        pairs = zip(self.report.points, self.patches, strict=True)
        return next((patch for point, patch in pairs if point.chosen), None)


def repair(
    subject: Subject, goal: Goal, methods: Sequence[Method], options: PatchOptions | None = None
) -> Outcome:
    """Let methods propose changes for the same split of the data, and choose among all of them.

    Args:
        subject: the network with its data.
        goal: what to fix and what to keep.
        methods: that propose; with several, one that cannot work here is reported as skipped.
        options: how.

    Raises:
        NothingToFixError: there is no error of the kind to be fixed.
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    options = options or PatchOptions()
    clock = Clock()
    board = _Board.of(subject, goal, options)
    clock.lap("splitting the data")
    proposals, skipped = _proposed(board, methods, clock)
    options.progress.stage("judging", len(proposals))
    judged = list(_judged(board, proposals))
    place, reason = choose(
        [one.selection for one in judged], goal.max_broken, int(board.held_out.correct.sum())
    )
    patches = tuple(_patch(board, one) for one in judged)
    clock.lap("judging")
    report = PatchReport(
        tool_version=__version__,
        model=board.card,
        goal=board.aim.words,
        protect=goal.kept,
        max_broken=goal.max_broken,
        parts=tuple(board.sizes()),
        methods=tuple(chosen.name for chosen in methods),
        points=tuple(
            _point(board, one, patch.count, taken=place == i)
            for i, (one, patch) in enumerate(zip(judged, patches, strict=True))
        ),
        seed=options.seed,
        accepted=place is not None,
        reason=reason,
        skipped=skipped,
        notes=(*subject.notes, *board.aim.notes),
        stages=tuple(clock.stages),
    )
    return Outcome(report=report, patches=patches)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A proposal, and what it does.

    Attributes:
        method: that made it.
        proposal: the change.
        selection: what it does to the selection part.
        held_out: what it does to the held-out part.
    """

    method: str
    proposal: Proposal
    selection: Verdict
    held_out: Verdict


def named(outcome: Outcome, files: Mapping[int, str]) -> Outcome:
    """Return an outcome whose report names the files of its patches, by place."""
    points = tuple(
        replace(point, patch=files.get(place, ""))
        for place, point in enumerate(outcome.report.points)
    )
    return replace(outcome, report=replace(outcome.report, points=points))


def _proposed(
    board: _Board, methods: Sequence[Method], clock: Clock
) -> tuple[list[tuple[str, Proposal]], tuple[str, ...]]:
    """Return what the methods propose, with their names, and why some could not."""
    found: list[tuple[str, Proposal]] = []
    skipped = []
    for chosen in methods:
        try:
            found += [(chosen.name, proposal) for proposal in chosen.propose(board.problem)]
        except DnnRepairError as error:
            if len(methods) == 1 and not isinstance(error, NoChangeError):
                raise
            skipped.append(f"{chosen.name}: {error}")
        clock.lap(chosen.name)
    return found, tuple(skipped)


@dataclass(frozen=True, kw_only=True)
class _Board:
    """What all methods work on: the split data and what the untouched network makes of them.

    Attributes:
        subject: the network.
        problem: what methods see.
        aim: what is to be fixed, of all the data that are split.
        selection: answers of the untouched network to the part that chooses.
        held_out: the part that judges.
        judge: answers of the untouched network to that.
        card: the network and its data.
        risk: what errors cost.
    """

    subject: Subject
    problem: Problem
    aim: Aim
    selection: Answers
    held_out: Part
    judge: Answers
    card: ModelCard
    risk: Risk

    @classmethod
    def of(cls, subject: Subject, goal: Goal, options: PatchOptions) -> _Board:
        options.progress.stage("running the network", None)
        samples = in_memory(subject.samples)
        answers = _answers(subject, samples, goal)
        aimed = aim(goal, answers)
        shares = options.shares if options.test is None else (*options.shares[:2], 0.0)
        parts = cut(answers, aimed, options.seed, shares)
        problem = Problem(
            subject=subject,
            search=part_of(samples, answers, aimed, parts.search, "search"),
            selection=part_of(samples, answers, aimed, parts.selection, "selection"),
            max_broken=goal.max_broken,
            seed=options.seed,
            layers=options.layers,
            tolerance=goal.tolerance,
            checkpoint=options.checkpoint,
            progress=options.progress,
        )
        if options.test is None:
            judge = answers.at(parts.held_out)
            held_out = part_of(samples, answers, aimed, parts.held_out, "held-out")
        else:
            test = in_memory(options.test)
            judge = _answers(subject, test, goal)
            alike = aim_alike(goal, aimed, judge)
            held_out = part_of(test, judge, alike, torch.arange(len(judge)), "held-out")
        return cls(
            subject=subject,
            problem=problem,
            aim=aimed,
            selection=answers.at(parts.selection),
            held_out=held_out,
            judge=judge,
            card=_card(subject, answers),
            risk=goal.risk,
        )

    def sizes(self) -> Iterator[PartSize]:
        """Yield what each part holds."""
        named = (
            ("search", self.problem.search),
            ("selection", self.problem.selection),
            ("held-out", self.held_out),
        )
        for name, part in named:
            yield PartSize(
                name=name,
                samples=part.samples.size,
                right=int(part.correct.sum()),
                targets=int(part.targets.sum()),
                protected=int(part.protected.sum()),
            )


def _judged(board: _Board, proposals: Sequence[tuple[str, Proposal]]) -> Iterator[_Judged]:
    """Yield the proposals with what each does to the selection and to the held-out part."""
    names = {name for _, proposal in proposals for name in proposal.tensors}
    if not names:
        return
    problem = board.problem
    asked = [
        (
            Examination.of(board.subject, part.samples, names=names, tolerance=problem.tolerance),
            before,
            part,
            name,
        )
        for name, part, before in (
            ("selection", problem.selection, board.selection),
            ("held-out", board.held_out, board.judge),
        )
    ]
    for method, proposal in proposals:
        selection, held_out = (
            verify(before, examination.answers(proposal.tensors), part, name, board.risk)
            for examination, before, part, name in asked
        )
        problem.progress.advance(1)
        yield _Judged(method=method, proposal=proposal, selection=selection, held_out=held_out)


def _point(board: _Board, one: _Judged, numbers: int, *, taken: bool) -> Point:
    limit, unseen = board.problem.max_broken, int(board.held_out.correct.sum())
    yes, reason = accepted(one.selection, limit, unseen)
    return Point(
        method=one.method,
        name=one.proposal.name,
        numbers=numbers,
        selection=one.selection,
        held_out=one.held_out,
        chosen=taken,
        accepted=yes,
        reason=reason,
    )


def _patch(board: _Board, one: _Judged) -> Patch:
    subject = board.subject
    assert subject.program is not None  # of a network that ran  # noqa: S101
    changed = with_twins(subject.program, one.proposal.tensors)
    return Patch.of(
        subject.state,
        {name: value.cpu() for name, value in changed.items() if name in subject.state},
        method=one.method,
        settings=dict(one.proposal.settings),
        seed=board.problem.seed,
        verdict=_stored(one.held_out),
    )


def _stored(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as a patch file carries it."""
    found: dict[str, Any] = plain(asdict(verdict))
    return found


def _answers(subject: Subject, samples: ArraySamples, goal: Goal) -> Answers:
    return Examination.of(subject, samples, tolerance=goal.tolerance).answers()


def _card(subject: Subject, answers: Answers) -> ModelCard:
    facts = subject.facts
    return ModelCard(
        name=facts.model,
        form=subject.form,
        digest=subject.digest,
        mode=facts.mode,
        parameters=sum(prod(i.shape) for i in subject.infos.values() if not i.buffer),
        data=facts.data,
        samples=len(answers),
        task=str(facts.task),
        loss=facts.loss,
        accuracy=float(answers.correct.double().mean()),
        notes=subject.notes,
    )
