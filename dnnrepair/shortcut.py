"""Run the front of a network once, so that a repair runs only the part that it may change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.data import ArraySamples
from dnnrepair.fixed_batch import at_a_time, filled
from dnnrepair.population.rest import rest_of
from dnnrepair.population.tail import Tail, affordable

if TYPE_CHECKING:
    from collections.abc import Collection

    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject

_PROBES = (2, 3)  # batch sizes that tell what has one entry per input


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """The part of a network that a repair may change, and what leads there.

    Attributes:
        subject: that part as a network of its own, its parameters under their names; the whole
            network where nothing is to be saved.
        tail: computes its inputs; None where they are the network's own.
    """

    subject: Subject
    tail: Tail | None = None

    @classmethod
    def of(cls, subject: Subject, samples: ArraySamples, names: Collection[str]) -> Shortcut:
        """Cut a network in front of the first operation that reads one of these parameters.

        It stays whole if its values there would take too much memory, do not come one per input,
        or depend on a fixed batch size, and if it is no graph.

        Args:
            subject: the network.
            samples: some of its inputs.
            names: of the parameters that may change; empty for any.
        """
        program = subject.program
        if not names or program is None or program.batch_size is not None:
            return cls(subject=subject)
        tail = Tail.of(program, names)
        if not tail.steps or not _saves(tail, subject, samples):
            return cls(subject=subject)
        rest = rest_of(tail)
        near = replace(subject, program=rest, tensors=rest.tensors, infos=rest.infos)
        return cls(subject=near, tail=tail)

    def lead(self, samples: ArraySamples, progress: Progress) -> ArraySamples:
        """Return what the part reads of some inputs of the network, with their labels."""
        if self.tail is None:
            return samples
        progress.stage("running the network", samples.size)
        parts, targets = [], []
        for batch in samples.batches(at_a_time(self.tail.program)):
            inputs = filled(batch.inputs, None, self.subject.device)
            parts.append([value.cpu() for value in self.tail.record(inputs)])
            targets.append(batch.targets)
            progress.advance(len(batch))
        known = [labels for labels in targets if labels is not None]
        return ArraySamples(
            tuple(torch.cat(same) for same in zip(*parts, strict=True)),
            torch.cat(known) if known else None,
            samples.name,
            notes=samples.notes,
        )


def _saves(tail: Tail, subject: Subject, samples: ArraySamples) -> bool:
    """Tell whether what the tail reads has one entry per input and takes little memory."""
    example = samples.example(max(_PROBES)).inputs
    return all(_saves_at(count, tail, filled(example, count, subject.device)) for count in _PROBES)


def _saves_at(count: int, tail: Tail, inputs: tuple[Tensor, ...]) -> bool:
    recorded = tail.record(inputs)
    by_input = all(isinstance(x, Tensor) and x.dim() and len(x) == count for x in recorded)
    return by_input and affordable(recorded, inputs)
