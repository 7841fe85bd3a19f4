"""The whole repair: aim, split, let methods propose, choose, and judge on what nobody saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from dnnrepair import __version__
from dnnrepair.answers import Examination
from dnnrepair.board import Board, PatchOptions
from dnnrepair.choosing import choose
from dnnrepair.clock import Clock
from dnnrepair.errors import DnnRepairError, NoChangeError
from dnnrepair.patch import Patch
from dnnrepair.patch_report import PatchReport, Point
from dnnrepair.plain import plain
from dnnrepair.population.places import with_twins
from dnnrepair.settings import changed
from dnnrepair.verify import accepted, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dnnrepair.goal import Goal
    from dnnrepair.methods.method import Method, Proposal
    from dnnrepair.subject import Subject
    from dnnrepair.verdict import Verdict


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
    board = Board.of(subject, goal, options, _scope(subject, methods, options.layers))
    clock.lap("splitting the data")
    proposals, skipped = _proposed(board, methods, clock)
    options.progress.stage("judging", len(proposals))
    judged = list(_judged(board, proposals))
    place, reason = choose([one.selection for one in judged], goal.max_broken, board.unseen)
    patches = tuple(_patch(board, one) for one in judged)
    clock.lap("judging")
    report = PatchReport(
        tool_version=__version__,
        model=board.card,
        goal=board.aim.words,
        protect=goal.kept,
        max_broken=goal.max_broken,
        parts=board.sizes,
        methods=tuple(chosen.name for chosen in methods),
        points=tuple(
            _point(board, one, patch.count, taken=place == i)
            for i, (one, patch) in enumerate(zip(judged, patches, strict=True))
        ),
        settings=tuple(_settings(methods, options)),
        seed=options.seed,
        accepted=place is not None,
        reason=reason,
        skipped=skipped,
        notes=board.notes,
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


def _scope(subject: Subject, methods: Sequence[Method], layers: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the parameters that some method may change; empty for any."""
    if subject.program is None:
        return ()
    scopes = [chosen.scope(subject, layers) for chosen in methods]
    return tuple(dict.fromkeys(chain.from_iterable(scopes))) if all(scopes) else ()


def _settings(methods: Sequence[Method], options: PatchOptions) -> Iterator[str]:
    """Yield what was set other than by default."""
    if options.layers:
        yield f"layers = {', '.join(options.layers)}"
    for chosen in methods:
        for name, value in changed(chosen).items():
            yield f"{chosen.name}.{name} = {value}"


def _proposed(
    board: Board, methods: Sequence[Method], clock: Clock
) -> tuple[list[tuple[str, Proposal]], tuple[str, ...]]:
    """Return what the methods propose, with their names, and why some could not."""
    found: list[tuple[str, Proposal]] = []
    skipped = []
    for chosen in methods:
        try:
            proposals = chosen.propose(board.problem)
            found += [(chosen.name, _storable(board.subject, one)) for one in proposals]
        except DnnRepairError as error:
            if len(methods) == 1 and not isinstance(error, NoChangeError):
                raise
            skipped.append(f"{chosen.name}: {error}")
        clock.lap(chosen.name)
    return found, tuple(skipped)


def _storable(subject: Subject, proposal: Proposal) -> Proposal:
    """Round new values to what the network's file can hold: what is judged can be stored."""
    tensors = {
        name: value.to(subject.stored.get(name, value.dtype)).to(value.dtype)
        for name, value in proposal.tensors.items()
    }
    return replace(proposal, tensors=tensors)


def _judged(board: Board, proposals: Sequence[tuple[str, Proposal]]) -> Iterator[_Judged]:
    """Yield the proposals with what each does to the selection and to the held-out part."""
    names = {name for _, proposal in proposals for name in proposal.tensors}
    if not names:
        return
    tolerance, progress = board.problem.tolerance, board.problem.progress
    shares = (board.selection, board.held_out)
    asked = [
        Examination.of(board.problem.subject, share.part.samples, names=names, tolerance=tolerance)
        for share in shares
    ]
    for method, proposal in proposals:
        selection, held_out = (
            verify(
                share.before,
                examination.answers(proposal.tensors),
                share.part,
                share.name,
                board.risk,
            )
            for share, examination in zip(shares, asked, strict=True)
        )
        progress.advance(1)
        yield _Judged(method=method, proposal=proposal, selection=selection, held_out=held_out)


def _point(board: Board, one: _Judged, numbers: int, *, taken: bool) -> Point:
    yes, reason = accepted(one.selection, board.problem.max_broken, board.unseen)
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


def _patch(board: Board, one: _Judged) -> Patch:
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
