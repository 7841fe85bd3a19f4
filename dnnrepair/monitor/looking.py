"""One look at the network in training: everything the rules need, from one pass over the pool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.initializer import InitializerFit
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.training import Training
from dnnrepair.evidence.values import Values
from dnnrepair.evidence.vectors import Vector
from dnnrepair.observe import SKETCH_BATCH, Observer, plan_of, untouched
from dnnrepair.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dnnrepair.finding import Rule
    from dnnrepair.observation import Observations
    from dnnrepair.probe import Batch
    from dnnrepair.subject import Subject

GIVEN = frozenset({Gradient, Training})  # what the monitor measures by itself
REPORTED = frozenset({Moments, Values, Predictions, InitializerFit})
CHEAP_TENSORS = frozenset({Vector})  # read off the weights at every look


class Look(Observer):
    """An observation of the batches at hand instead of a data set; no process waits for another.

    Attributes:
        deep: weights are examined too, heavy probes see all batches instead of the last one, and
            those that run the network themselves are asked.
    """

    def __init__(self, subject: Subject, rules: Iterable[Rule], *, deep: bool, seed: int) -> None:
        """Prepare to measure what ``rules`` need; in a look that is not deep, what is cheap."""
        asked = REPORTED.union(*(rule.needs | rule.wants for rule in rules)) - GIVEN
        super().__init__(subject, asked, seed=seed, progress=silent)
        self.deep = deep
        if not deep:
            self._leave_out_what_is_costly()

    def look(self, batches: Sequence[Batch]) -> None:
        """Measure.

        Args:
            batches: that the network was trained on, oldest first.

        Raises:
            DataError: if the network refuses a batch.
        """
        self._measure_tensors()
        program = self.subject.program
        if program is None or not batches:
            for probe in self.selection.runs:
                self.missing[probe.yields] = "the network could not be run on training batches"
            return
        with untouched(program), torch.autocast(self.subject.device.type, enabled=False):
            selection = self.selection
            light = plan_of(program.sites, selection.streaming)
            full = plan_of(program.sites, (*selection.streaming, *selection.sketching))
            for batch in batches:
                plan = full if self.deep or batch is batches[-1] else light
                self._run_once(program, self._placed(batch, program), plan)
                self.samples += len(batch)
            if self.deep:
                self._ask(self._session(program, (_first(batches[-1], SKETCH_BATCH),)))

    def observed(
        self,
        training: Training,
        gradients: Mapping[str, Gradient],
        fits: Mapping[str, InitializerFit],
    ) -> Observations:
        """Return what was measured, together with what the monitor knows.

        Args:
            training: the run so far.
            gradients: of the steps before this look, by parameter.
            fits: of the last deep look, by which the phase is told.
        """
        known = {n: g for n, g in gradients.items() if n in self.subject.infos}
        self.evidence = {**self.evidence, Training: {"": training}, Gradient: dict(known)}
        self.evidence.setdefault(InitializerFit, dict(fits))
        if not known:
            self.missing[Gradient] = "no gradient was seen at a step of the optimizer"
        classes = self.subject.facts.classes
        self.evidence[Training][""] = replace(training, classes=classes)
        return self.result()

    def judged(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """Return the rules whose needs were looked at, found or missing."""
        looked = {*self.measured, *GIVEN}
        return tuple(rule for rule in rules if rule.needs <= looked)

    @property
    def measured(self) -> frozenset[type]:
        """The types of evidence that this look is after."""
        probes = (*self.selection.runs, *self.selection.tensors)
        return frozenset(probe.yields for probe in probes)

    def _leave_out_what_is_costly(self) -> None:
        selection = self.selection
        selection.tensors = [p for p in selection.tensors if p.yields in CHEAP_TENSORS]
        selection.sessions = []
        selection.runs = [*selection.streaming, *selection.sketching, *selection.predictions]
        kept = self.measured
        self.evidence = {kind: found for kind, found in self.evidence.items() if kind in kept}


def _first(batch: Batch, count: int) -> Batch:
    return replace(
        batch,
        inputs=tuple(x[:count] for x in batch.inputs),
        targets=None if batch.targets is None else batch.targets[:count],
        mask=None if batch.mask is None else batch.mask[:count],
    )
