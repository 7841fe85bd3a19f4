"""``dnnrepair.Monitor``: watch a training run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dnnrepair.errors import DnnRepairError, SettingError
from dnnrepair.evidence.training import Validation
from dnnrepair.files import check_writable, write_whole
from dnnrepair.monitor.actions import Actions, StopTraining
from dnnrepair.monitor.attaching import network_in, notes_on, optimized, plain_optimizer
from dnnrepair.monitor.examining import Examiner
from dnnrepair.monitor.state import State, packed, unpacked
from dnnrepair.monitor.table import Table
from dnnrepair.monitor.together import agreed, is_reporting
from dnnrepair.monitor.watch import Watch
from dnnrepair.selection import choose_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from torch import Tensor, nn

    from dnnrepair.finding import Finding
    from dnnrepair.monitor.sightings import Sighting
    from dnnrepair.report import Report

SUFFIXES = {  # of the file a report is written to, and the format that stands for
    ".htm": "html",
    ".html": "html",
    ".json": "json",
    ".md": "markdown",
    ".sarif": "sarif",
}


class Monitor:
    """Watches a training run and reports what is wrong with it.

    ::

        with dnnrepair.Monitor(model, optimizer, output="training.html") as m:
            for x, y in loader:
                loss = m.loss(criterion(model(x), y), y)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()

    Every ``every`` steps of the optimizer the rules of ``dnnrepair diagnose`` are applied to the
    last training batches (up to 512 samples) in evaluation mode, and rules about the run to losses,
    steps and labels. Rules that examine the weights, or run the network several times, come every
    eighth look. Gradients are those that the optimizer uses: accumulated, unscaled, clipped.

    Under ``torch.distributed`` the first process watches and reports; the others only count.
    Nothing is printed. Network, gradients and random state are left as found.

    Attributes:
        stopped: why training was stopped, "" if it was not.
        seconds: wall-clock time that the looks took.
    """

    def __init__(  # noqa: PLR0913 - the front door; all but two go by name
        self,
        model: nn.Module,
        optimizer: Any,  # noqa: ANN401 - or what wraps one
        *,
        every: int = 100,
        on: str | Sequence[str] = (),
        do: str | Callable[[Finding], object] | None = None,
        output: str | Path | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        task: str | None = None,
        loss: str | None = None,
    ) -> None:
        """Prepare to watch; the hooks are hung up by ``with`` or :meth:`attach`.

        Args:
            model: what the training loop calls, compiled or data-parallel as it may be.
            optimizer: of its parameters.
            every: steps of the optimizer between two looks, at least 1.
            on: names, codes or families of findings to act on; notes never are.
            do: what to do then: ``lower-lr`` (halve every rate, again after three looks), ``stop``
                (end the ``with`` block), or a function of the finding.
            output: file to which the report is written at the end, its format by its suffix.
            select: codes, families or names of the rules to apply; all by default.
            ignore: of the rules to leave out.
            settings: limits by rule code and field, such as ``{"TRN005": {"max_ratio": 0.2}}``.
            task: ``classify`` or ``regress``; by default guessed from the targets.
            loss: name of the loss, one of :data:`dnnrepair.loss.LOSSES`; by default guessed.

        Raises:
            SettingError: if ``every`` is below 1, the optimizer holds no parameter of the model, or
                only one of ``on`` and ``do`` is given.
            UnknownNameError: if a finding or an action is unknown; the nearest is named.
            OutputError: if ``output`` cannot be written.
        """
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            message = f"every={every!r} makes no sense: give the steps between looks, at least 1"
            raise SettingError(message)
        network, plain = network_in(model), plain_optimizer(optimizer)
        optimized(network, plain)
        self.stopped = ""
        self._output = None if output is None else Path(output)
        if self._output is not None:
            check_writable(self._output)
        self._actions = Actions.of(on, do)
        rules = choose_rules(select, ignore, settings or {}, live=True)
        table = Table(
            network=network,
            name=type(network).__name__,
            task=task,
            loss=loss,
            notes=notes_on(network, plain),
        )
        self._watch = Watch(model, plain, every, self._look)
        self._examiner = Examiner(table, rules)
        self._done: list[str] = []
        self._cut_short = False

    def attach(self) -> Self:
        """Hang the hooks up and return the monitor; :meth:`detach` takes them down.

        Raises:
            SettingError: if a monitor watches this model or optimizer already.
        """
        self._watch.attach(quiet=not is_reporting())
        return self

    def detach(self) -> None:
        """Take the hooks down and write the report, if there is somewhere to write it."""
        if self._watch.attached:
            self._watch.detach()
            if self._output is not None and is_reporting():
                write_whole(self._output, self._drawn(self._output))

    def __enter__(self) -> Self:
        """Begin to watch."""
        return self.attach()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """End watching; a stop that the monitor itself asked for goes no further."""
        stopped = isinstance(error, StopTraining)
        self._cut_short = error is not None and not stopped
        self.detach()
        return stopped

    def loss(
        self,
        loss: Tensor,
        targets: Tensor | None = None,
        inputs: Tensor | tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Note a training loss and return it as it is.

        Args:
            loss: before any scaling for mixed precision or accumulation; a scalar, or one value per
                sample.
            targets: labels ``(batch,)`` or ``(batch, tokens)``, class probabilities
                ``(batch, classes)``, or values; without them rules that need labels are skipped.
            inputs: what the model was called with, should the monitor not see it (a module compiled
                in place).
        """
        if is_reporting():
            self._watch.told(loss, targets, inputs)
        return loss

    def validation(self, loss: float | Tensor, accuracy: float | Tensor | None = None) -> None:
        """Note what was measured on data that are not trained on.

        Args:
            loss: mean loss.
            accuracy: share of right predictions, in [0, 1].
        """
        known = None if accuracy is None else float(accuracy)
        found = Validation(step=self.step, loss=float(loss), accuracy=known)
        self._watch.validations.append(found)

    @property
    def step(self) -> int:
        """Steps that the optimizer has taken under watch."""
        return self._watch.step

    @property
    def seconds(self) -> float:
        """Wall-clock time that the looks took."""
        return self._examiner.seconds

    @property
    def findings(self) -> tuple[Sighting, ...]:
        """All findings so far, in the order in which they were first seen."""
        return tuple(self._examiner.sightings)

    def report(self) -> Report:
        """Return the report on the run so far."""
        return self._examiner.report(self._watch, tuple(self._done), interrupted=self._cut_short)

    def state_dict(self) -> dict[str, Any]:
        """Return what is known so far, to be kept in a checkpoint beside the optimizer's state."""
        watch, examiner = self._watch, self._examiner
        return packed(
            State(
                step=watch.step,
                looks=examiner.looks,
                last_look=examiner.last_look,
                first=tuple(watch.losses.first),
                blocks=tuple(watch.losses.blocks),
                validations=tuple(watch.validations),
                updates={name: tuple(found) for name, found in watch.updates.latest.items()},
                labels=dict(watch.labels.counts),
                highest=tuple(watch.rates.highest),
                sightings=tuple(examiner.sightings),
                checked=tuple(sorted(examiner.checked)),
                skips=examiner.skips,
                done=tuple(self._done),
                first_updates=dict(watch.updates.first),
            )
        )

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            DataError: if it is no such state, or of another version.
        """
        state = unpacked(stored)
        self._watch.restore(state)
        self._examiner.restore(state)
        self._done = list(state.done)

    def _look(self) -> None:
        due: tuple[Finding, ...] = ()
        error: DnnRepairError | None = None
        if is_reporting():
            try:
                due = self._actions.due(self._examiner.look(self._watch))
            except DnnRepairError as raised:
                error = raised  # to be raised in all processes
        due = agreed(due, error, acting=bool(self._actions.codes))
        try:
            self._done += self._actions.carry_out(due, self._watch.optimizer, self.step)
        except StopTraining as stop:
            self.stopped = str(stop)
            self._done.append(self.stopped)
            raise

    def _drawn(self, path: Path) -> str:
        from dnnrepair.api import render_report

        return render_report(self.report(), SUFFIXES.get(path.suffix.lower(), "text"))
