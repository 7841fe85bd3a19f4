"""Measure once: one pass over the data serves every probe that the chosen rules need."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.data import check_labels
from dnnrepair.errors import UnknownNameError
from dnnrepair.loss import loss_named
from dnnrepair.observation import Observations, Task
from dnnrepair.probe import (
    Batch,
    Call,
    NotMeasuredError,
    PredictionProbe,
    Session,
    SessionProbe,
    SiteProbe,
    TensorProbe,
    probes,
)
from dnnrepair.refusal import refusal
from dnnrepair.sharding import Shards
from dnnrepair.sites import Kind
from dnnrepair.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.errors import DataError
    from dnnrepair.observation import TensorInfo
    from dnnrepair.probe import Probe
    from dnnrepair.program import Program, Watch
    from dnnrepair.progress import Progress
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject

    Evidence = dict[type, dict[str, Any]]
    Plan = Mapping[str, Sequence[SiteProbe]]

SKETCH_SIZE = 512  # samples on which heavy measurements are made
SKETCH_BATCH = 128  # the reference's batch for gradients: at least 4 of 128


class Selection:
    """The probes that yield some needed evidence, by the way they measure."""

    def __init__(self, needs: frozenset[type]) -> None:
        """Instantiate each registered probe whose evidence is needed."""
        chosen = [probes[name]() for name in probes if probes[name].yields in needs]
        unknown = needs - {probe.yields for probe in chosen}
        if unknown:
            message = f"no probe yields {', '.join(sorted(kind.__name__ for kind in unknown))}"
            raise UnknownNameError(message)
        sites = [p for p in chosen if isinstance(p, SiteProbe)]
        self.streaming = [p for p in sites if not p.sketch_only]
        self.sketching = [p for p in sites if p.sketch_only]
        self.predictions = [p for p in chosen if isinstance(p, PredictionProbe)]
        self.tensors = [p for p in chosen if isinstance(p, TensorProbe)]
        self.sessions = [p for p in chosen if isinstance(p, SessionProbe)]
        self.runs: list[Probe] = [*sites, *self.predictions, *self.sessions]


class Observer:
    """One observation in progress; :meth:`result` may be asked at any time."""

    def __init__(
        self, subject: Subject, needs: frozenset[type], *, seed: int, progress: Progress
    ) -> None:
        """Prepare to measure ``needs`` on ``subject``."""
        self.subject = subject
        self.seed = seed
        self.progress = progress
        self.selection = Selection(needs)
        self.evidence: Evidence = {kind: {} for kind in needs}
        self.missing: dict[type, str] = {}
        self.samples = 0
        self.sketch = Sketch(SKETCH_SIZE, seed)
        self.interrupted = False

    def run(self, batch_size: int) -> None:
        """Measure everything; an interrupt ends the measuring, what is measured stays."""
        try:
            self._measure_tensors()
            program, samples = self.subject.program, self.subject.samples
            if program is None or samples is None:
                self._nothing_to_run(program)
                return
            with untouched(program):
                self._stream(program, batch_size)
                self._measure_sketch(program)
        except KeyboardInterrupt:
            self.interrupted = True
            for probe in self.selection.runs:
                self.missing.setdefault(probe.yields, "interrupted")

    def result(self) -> Observations:
        """Return what has been measured so far."""
        subject = self.subject
        program = subject.program
        return Observations(
            sites=program.sites if program else Observations().sites,
            tensors=subject.infos,
            facts=replace(subject.facts, samples=self.samples),
            evidence={kind: dict(found) for kind, found in self.evidence.items()},
            missing=self.missing,
            interrupted=self.interrupted,
        )

    def _measure_tensors(self) -> None:
        self.progress.stage("reading weights", len(self.subject.tensors))
        for name, value in self.subject.tensors.items():
            info = self.subject.infos[name]
            for probe in self.selection.tensors:
                found = _measure_tensor(probe, info, value)
                if found is not None:
                    self.evidence[probe.yields][name] = found
            self.progress.advance(1)

    def _nothing_to_run(self, program: Program | None) -> None:
        reason = "needs data: give --data" if program else "needs an architecture: give --arch"
        for probe in self.selection.runs:
            self.missing[probe.yields] = reason

    def _stream(self, program: Program, batch_size: int) -> None:
        samples = self.subject.samples
        assert samples is not None  # run() checked  # noqa: S101
        shards = Shards.current()
        self.progress.stage("observing", samples.size)
        plan = plan_of(program.sites, self.selection.streaming)
        fixed = program.batch_size
        for batch in samples.batches(fixed or batch_size, rank=shards.rank, world=shards.world):
            if fixed and len(batch) < fixed:  # a graph exported for one batch size takes no rest
                continue
            placed = self._placed(batch, program)
            self._run_once(program, placed, plan)
            self.sketch.add(placed)
            self.samples += len(batch)
            self.progress.advance(len(batch))
        self.evidence, self.samples = shards.join(self.evidence, self.samples, self.sketch)

    def _placed(self, batch: Batch, program: Program) -> Batch:
        device = self.subject.device
        inputs = tuple(x.to(device) for x in batch.inputs)
        targets = None if batch.targets is None else batch.targets.to(device)
        mask = batch.mask if batch.mask is not None else padding_mask(program, inputs)
        return replace(batch, inputs=inputs, targets=targets, mask=mask)

    def _run_once(self, program: Program, batch: Batch, plan: Plan) -> None:
        with torch.no_grad():
            try:
                prediction = program.run(batch.inputs, watch=self._watch(batch, plan))
            except (RuntimeError, ValueError, IndexError) as error:
                raise _refused(batch, error) from error
        facts = self.subject.facts
        if batch.targets is not None and facts.task is Task.CLASSIFY and facts.classes > 1:
            check_labels(batch.targets, facts.classes)
        for probe in self.selection.predictions:
            found = probe.measure_prediction(prediction, batch, facts)
            add(self.evidence[probe.yields], "", found)

    def _watch(self, batch: Batch, plan: Plan) -> Watch:
        def watch(site: Site, arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
            chosen = plan.get(site.name)
            if not chosen:
                return
            output = value[0] if isinstance(value, tuple | list) else value
            call = Call(site=site, arguments=arguments, output=output, batch=batch)
            for probe in chosen:
                add(self.evidence[probe.yields], site.name, probe.measure(call))

        return watch

    def _measure_sketch(self, program: Program) -> None:
        selection = self.selection
        batches = self.sketch.batches(program.batch_size or SKETCH_BATCH, self.subject.device)
        batches = tuple(b for b in batches if len(b) == (program.batch_size or len(b)))
        self.progress.stage("examining", len(batches) + len(selection.sessions))
        plan = plan_of(program.sites, selection.sketching)
        for batch in batches:
            if selection.sketching:
                with torch.no_grad():
                    program.run(batch.inputs, watch=self._watch(batch, plan))
            self.progress.advance(1)
        self._ask(self._session(program, batches))

    def _ask(self, session: Session) -> None:
        """Let the probes measure that run the network themselves."""
        for probe in self.selection.sessions:
            try:
                self.evidence[probe.yields].update(probe.measure_session(session))
            except NotMeasuredError as reason:
                self.missing[probe.yields] = str(reason)
            self.progress.advance(1)

    def _session(self, program: Program, batches: tuple[Batch, ...]) -> Session:
        facts = self.subject.facts
        labeled = all(batch.targets is not None for batch in batches) and bool(batches)
        return Session(
            program=program,
            batches=batches,
            facts=facts,
            criterion=loss_named(facts.loss) if labeled else None,
            trainable=frozenset(n for n, i in program.infos.items() if i.trainable),
            seed=self.seed,
        )


def observe(
    subject: Subject, needs: frozenset[type], *, seed: int, batch_size: int, progress: Progress
) -> Observations:
    """Measure all evidence of the types in ``needs`` that this subject allows.

    The program, its buffers and torch's random state are left exactly as found.
    """
    observer = Observer(subject, needs, seed=seed, progress=progress)
    observer.run(batch_size)
    return observer.result()


def plan_of(sites: Sites, chosen: Sequence[SiteProbe]) -> Plan:
    """Return which probes watch which site, by the site's name."""
    watched = {site.name: [p for p in chosen if p.watches(site, sites)] for site in sites}
    return {name: found for name, found in watched.items() if found}


def add(found: dict[str, Any], place: str, more: Any) -> None:  # noqa: ANN401 - any evidence
    """Add evidence to what is known of a place."""
    found[place] = found[place] + more if place in found else more


def padding_mask(program: Program, inputs: Sequence[Tensor]) -> Tensor | None:
    """Return where tokens are no padding, ``(batch, tokens)``; None where all count."""
    waiting = dict(zip((s.name for s in program.sites.of(Kind.INPUT)), inputs, strict=False))
    for site in program.sites.of(Kind.EMBEDDING):
        padding = site.setting("padding_idx", -1)
        source = program.sites.source(site)
        if padding >= 0 and source is not None and source.name in waiting:
            ids = waiting[source.name]
            if ids.dim() == 2:  # noqa: PLR2004 - (batch, tokens)
                mask = ids != int(padding)
                return None if bool(mask.all()) else mask
    return None


@contextmanager
def untouched(program: Program) -> Iterator[None]:
    """Leave torch's random state as found, whatever random operations the network holds."""
    devices = {value.device for value in program.tensors.values() if value.device.type == "cuda"}
    with torch.random.fork_rng(devices=[device.index or 0 for device in devices]):
        yield


def _measure_tensor(probe: TensorProbe, info: TensorInfo, value: Tensor) -> Any:  # noqa: ANN401
    with torch.no_grad():
        try:
            return probe.measure_tensor(info, value)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # damaged weights
            return None


def _refused(batch: Batch, error: Exception) -> DataError:
    shapes = ", ".join(str(tuple(x.shape)) for x in batch.inputs)
    return refusal(f"samples {batch.start} and up, of shape {shapes}", error)
