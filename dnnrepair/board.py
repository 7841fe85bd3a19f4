"""What repair methods work on: the split data, and what the untouched network makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import torch

from dnnrepair.answers import Examination
from dnnrepair.bits import digest
from dnnrepair.goal import Aim, aim, aim_alike
from dnnrepair.localize.head import Head
from dnnrepair.methods.method import Problem
from dnnrepair.patch_report import PartSize
from dnnrepair.progress import Progress, silent
from dnnrepair.report import ModelCard
from dnnrepair.shortcut import Shortcut
from dnnrepair.splitting import SHARES, cut, in_memory, part_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from dnnrepair.answers import Answers
    from dnnrepair.data import ArraySamples, Samples
    from dnnrepair.goal import Goal
    from dnnrepair.methods.method import Part
    from dnnrepair.risk import Risk
    from dnnrepair.subject import Subject


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


@dataclass(frozen=True, kw_only=True)
class Share:
    """One part of the data.

    Attributes:
        name: "search", "selection" or "held-out".
        part: the inputs, and what is asked of them.
        before: what the untouched network answers to them.
    """

    name: str
    part: Part
    before: Answers

    @property
    def size(self) -> PartSize:
        """What it holds."""
        part = self.part
        return PartSize(
            name=self.name,
            samples=part.samples.size,
            right=int(part.correct.sum()),
            targets=int(part.targets.sum()),
            protected=int(part.protected.sum()),
        )


@dataclass(frozen=True, kw_only=True)
class Board:
    """What all methods work on, and what judges them.

    Attributes:
        subject: the network.
        problem: what methods see.
        aim: what is to be fixed, of all the data that are split.
        notes: what the user should know.
        search: the part that weights are fitted to.
        selection: the part that chooses.
        held_out: the part that judges.
        card: the network and its data.
        risk: what errors cost.
    """

    subject: Subject
    problem: Problem
    aim: Aim
    notes: tuple[str, ...]
    search: Share
    selection: Share
    held_out: Share
    card: ModelCard
    risk: Risk

    @classmethod
    def of(
        cls, subject: Subject, goal: Goal, options: PatchOptions, scope: Collection[str] = ()
    ) -> Board:
        """Ask the network, and split the data.

        Args:
            subject: the network with its data.
            goal: what to fix and what to keep.
            options: how.
            scope: names of the parameters that may change; empty for any.

        Raises:
            DnnRepairError: as :func:`dnnrepair.patching.repair` does.
        """
        options.progress.stage("running the network", None)
        given = in_memory(subject.samples)
        shortcut = Shortcut.of(subject, given, scope)
        samples = shortcut.lead(given, options.progress)
        answers = _answers(shortcut.subject, samples, goal)
        aimed = aim(goal, answers)
        shares = options.shares if options.test is None else (*options.shares[:2], 0.0)
        parts = cut(answers, aimed, options.seed, shares)

        def share(name: str, places: torch.Tensor) -> Share:
            part = part_of(samples, answers, aimed, places, name)
            return Share(name=name, part=part, before=answers.at(places))

        search = share("search", parts.search)
        selection = share("selection", parts.selection)
        notes = (*subject.notes, *_of_its_end(subject), *aimed.notes)
        if options.test is None:
            held_out = share("held-out", parts.held_out)
        else:
            other = shortcut.lead(in_memory(options.test), options.progress)
            held_out, more = _of_other_data(shortcut.subject, goal, aimed, other)
            notes = (*notes, *more)
        problem = Problem(
            subject=shortcut.subject,
            search=search.part,
            selection=selection.part,
            max_broken=goal.max_broken,
            seed=options.seed,
            layers=options.layers,
            tolerance=goal.tolerance,
            data="" if options.checkpoint is None else _digest(given),
            checkpoint=options.checkpoint,
            progress=options.progress,
        )
        return cls(
            subject=subject,
            problem=problem,
            aim=aimed,
            notes=notes,
            search=search,
            selection=selection,
            held_out=held_out,
            card=_card(subject, answers),
            risk=goal.risk,
        )

    @property
    def sizes(self) -> tuple[PartSize, ...]:
        """What each part holds."""
        return self.search.size, self.selection.size, self.held_out.size

    @property
    def unseen(self) -> int:
        """How many inputs that are right no method sees."""
        return int(self.held_out.part.correct.sum())


def _of_other_data(
    subject: Subject, goal: Goal, aimed: Aim, samples: ArraySamples
) -> tuple[Share, tuple[str, ...]]:
    """Return the part that judges where it is no part of the data that are split, and notes."""
    before = _answers(subject, samples, goal)
    alike = aim_alike(goal, aimed, before)
    part = part_of(samples, before, alike, torch.arange(len(before)), "held-out")
    notes = tuple(f"{samples.name}: {note}" for note in alike.notes)
    return Share(name="held-out", part=part, before=before), notes


def _of_its_end(subject: Subject) -> tuple[str, ...]:
    """Return what is to be known of a network that ends in probabilities."""
    if subject.program is None:
        return ()
    note = Head.of(subject.program.sites, subject.facts).note
    return (note,) if note else ()


def _answers(subject: Subject, samples: ArraySamples, goal: Goal) -> Answers:
    return Examination.of(subject, samples, tolerance=goal.tolerance).answers()


def _digest(samples: ArraySamples) -> str:
    """Return what tells these data from others."""
    assert samples.targets is not None  # checked when they came  # noqa: S101
    named = {f"x{place}": values for place, values in enumerate(samples.inputs)}
    return digest({**named, "y": samples.targets})


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
