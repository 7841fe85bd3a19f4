"""Searching: asks, has evaluated, tells, until enough is known."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dnnrepair.errors import SettingError
from dnnrepair.evolve.in_place import in_place
from dnnrepair.evolve.state import State  # noqa: TC001 - a field of a dataclass
from dnnrepair.evolve.stopping import Reason, Stopping
from dnnrepair.kernels import captured
from dnnrepair.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.evolve.box import Box
    from dnnrepair.evolve.checkpoint import Checkpoint
    from dnnrepair.evolve.in_place import InPlace
    from dnnrepair.evolve.start import Start
    from dnnrepair.evolve.strategy import Strategy
    from dnnrepair.progress import Progress

    Evaluate = Callable[[Tensor], Tensor]  # values (S, P, k) to fitness (S, P)


class Capture(Protocol):
    """Turns one generation into something that is replayed faster."""

    def __call__(self, step: Callable[[], None], *, state: Sequence[Tensor]) -> Callable[[], None]:
        """Return what does what ``step`` does; ``state`` is all that it carries along."""
        ...


@runtime_checkable
class Abandoning(Protocol):
    """Evaluates, and may give up on a candidate as soon as it cannot reach its threshold."""

    abandons: bool  # whether it wants to be told a threshold

    def __call__(self, values: Tensor, *, threshold: Tensor) -> Tensor:
        """Return the fitness ``(S, P)`` of ``(S, P, k)`` values.

        Args:
            values: the candidates.
            threshold: float64 ``(S, P)``, the fitness of each one's parent, -inf if unknown. For
                a candidate that is less fit, any number below the threshold will do, or NaN.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What S searches have found.

    Attributes:
        best: the fittest candidate of each, ``(S, k)``.
        fitness: of these, float64 ``(S,)``; -inf if no evaluation succeeded.
        generations: how many each search took after that of the first population.
        reasons: why each ended.
        seconds: of wall clock, of this run.
        state: where the searches stand; can be told more.
    """

    best: Tensor
    fitness: Tensor
    generations: tuple[int, ...]
    reasons: tuple[Reason, ...]
    seconds: float
    state: State


class SearchInterrupted(KeyboardInterrupt):
    """The user has interrupted the search; the checkpoint is written."""

    def __init__(self, result: Result, kept: Path | None = None) -> None:
        """Carry what was found up to the last generation that was finished.

        Args:
            result: of the search until then.
            kept: the file from which it can go on, None if there is none.
        """
        super().__init__("the search was interrupted")
        self.result = result
        self.kept = kept


def search(  # noqa: PLR0913 - what is searched for, and how one is told
    strategy: Strategy,
    evaluate: Evaluate | Abandoning,
    box: Box,
    seeds: Sequence[int],
    *,
    start: Start | None = None,
    stopping: Stopping | None = None,
    checkpoint: Checkpoint | None = None,
    every: int = 10,
    progress: Progress = silent,
    on_generation: Callable[[State], None] | None = None,
    capture: Capture | None = None,
) -> Result:
    """Search once for each seed, all at the same time; each finds what it would find alone.

    A search that has ended is still evaluated with the others but does not change any more.

    Args:
        strategy: how to search.
        evaluate: the fitness of ``(S, P, k)`` values, ``(S, P)``, to be maximized; NaN if it has
            none. Told a threshold if it is :class:`Abandoning`.
        box: what the searches may not leave.
        seeds: one for each search.
        start: draws the first population; uniform in the box if None.
        stopping: when to end; Arachne's rule if None.
        checkpoint: where the search is kept. If the file exists, the search goes on from there.
        every: generations between two writings, at least 1; the end is written too.
        progress: is told of each generation.
        on_generation: is given the state after each generation.
        capture: makes a replay of one generation on a CUDA device; by default
            :func:`dnnrepair.kernels.captured` if ``evaluate.replayable``. No threshold is told
            then, and what ``on_generation`` is given is overwritten by the next generation.

    Raises:
        SearchInterrupted: on Ctrl-C, a KeyboardInterrupt with the result so far.
        SettingError: if box, start, seeds and fitness do not fit together.
        CheckpointError: if the checkpoint is damaged or of another search.
        OutputError: if it cannot be written.
    """
    if every < 1:
        message = f"a checkpoint every {every} generations is impossible; set 1 or more"
        raise SettingError(message)
    stopping = stopping or Stopping.arachne()
    if capture is None and getattr(evaluate, "replayable", False):
        capture = captured
    state = strategy.init(seeds, box, start, ahead=16 if capture is None else 1)
    if checkpoint is not None and checkpoint.path.exists():
        state = checkpoint.read(strategy, state)
    run = _Run(strategy, evaluate, stopping, checkpoint, every, progress, on_generation, state)
    run.capture = capture
    try:
        return run.result(run.search())
    except KeyboardInterrupt as stop:
        run.keep()
        kept = None if checkpoint is None else checkpoint.path
        raise SearchInterrupted(run.result("interrupted"), kept) from stop


@dataclass(slots=True)
class _Run:
    """A search under way; ``state`` is that after the last whole generation."""

    strategy: Strategy
    evaluate: Evaluate | Abandoning
    stopping: Stopping
    checkpoint: Checkpoint | None
    every: int
    progress: Progress
    on_generation: Callable[[State], None] | None
    state: State
    started: float = field(default_factory=time.monotonic)
    capture: Capture | None = None
    replay: Callable[[], None] | None = None

    def search(self) -> Reason:
        """Search to the end and return why it is the end."""
        done = int(self.state.generation)
        self.progress.stage("searching", self.stopping.generations + 1)
        self.progress.advance(done)
        self._freeze()
        reason = self._end(done)
        while reason is None:
            self._generation()
            done += 1
            self.progress.advance(1)
            reason = self._end(done)
            if reason is None and done % self.every == 0:
                self.keep()
        self.keep()
        return reason

    def keep(self) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.checkpoint is not None:
            self.checkpoint.write(self.strategy, self.state)

    def result(self, reason: Reason) -> Result:
        """Return what has been found; searches without an end of their own ended for ``reason``."""
        state = self.state
        return Result(
            best=state.best,
            fitness=state.best_fitness,
            generations=tuple(max(int(age) - 1, 0) for age in state.age),
            reasons=self.stopping.reasons(state, reason),
            seconds=time.monotonic() - self.started,
            state=state,
        )

    def _generation(self) -> None:
        first = self.replay is None and not int(self.state.generation)
        if self.capture is None or first:
            self._told()  # the first population is not like later ones
        else:
            if self.replay is None:
                kept = (*self.state.tensors().values(), *self.state.ahead.now)
                step = partial(self._within, in_place(self.strategy, self.state))
                self.replay = self.capture(step, state=kept)
            self.replay()
        if self.on_generation is not None:
            self.on_generation(self.state)

    def _within(self, inside: InPlace) -> None:
        """Take the next generation within the tensors of the present one."""
        trials = inside.ask()
        inside.tell(trials, self.evaluate(trials))  # type: ignore[call-arg]
        if self.stopping.singly:
            self.state.active.logical_and_(~self.stopping.ended(self.state))

    def _told(self) -> None:
        trials = self.strategy.ask(self.state)
        told = self.capture is None and getattr(self.evaluate, "abandons", False)
        if told and isinstance(self.evaluate, Abandoning):
            fitness = self.evaluate(trials, threshold=self.state.fitness)
        else:
            fitness = self.evaluate(trials)  # type: ignore[call-arg]
        self.state = self.strategy.tell(self.state, trials, fitness)
        self._freeze()

    def _freeze(self) -> None:
        if self.stopping.singly:
            active = self.state.active & ~self.stopping.ended(self.state)
            self.state = replace(self.state, active=active)

    def _end(self, done: int) -> Reason | None:
        """Return why nothing is left to do after ``done`` batches, or None."""
        if done > self.stopping.generations:
            return "generations"
        seconds = self.stopping.seconds
        if seconds is not None and time.monotonic() - self.started >= seconds:
            return "seconds"
        if not (done and self.stopping.singly):  # asking the device would make the host wait
            return None
        return None if bool(self.state.active.any()) else "patience"
