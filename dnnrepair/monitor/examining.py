"""From what was noted to findings: one look at a time, and the report on all of them."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from dnnrepair.bits import digest
from dnnrepair.diagnose import judge
from dnnrepair.errors import DataError, ModelError
from dnnrepair.evidence.initializer import InitializerFit
from dnnrepair.layers import layer_tree
from dnnrepair.loading import tensors_of
from dnnrepair.monitor.attaching import check_unchanged, structure
from dnnrepair.monitor.looking import Look
from dnnrepair.monitor.sightings import Sightings
from dnnrepair.monitor.table import refreshed
from dnnrepair.selection import differing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.finding import Rule, Skip
    from dnnrepair.monitor.sightings import Sighting
    from dnnrepair.monitor.state import State
    from dnnrepair.monitor.table import Table
    from dnnrepair.monitor.watch import Watch
    from dnnrepair.observation import Observations
    from dnnrepair.report import Report
    from dnnrepair.subject import Subject

DEEP_EVERY = 8  # looks, from the first on


class Examiner:
    """Looks at a network in training, and remembers.

    Attributes:
        sightings: the findings of all looks.
        checked: codes of the rules that were applied at some look.
        looks, last_look: how many looks there were, and the step of the last.
        seconds: wall-clock time that they took.
    """

    def __init__(self, table: Table, rules: Sequence[Rule]) -> None:
        """Prepare to look at the network on ``table``."""
        self.sightings = Sightings()
        self.checked: set[str] = set()
        self.looks = self.last_look = 0
        self.seconds = 0.0
        self._table = table
        self._rules = tuple(rules)
        self._structure = structure(table.network)
        self._subject: Subject | None = None
        self._fits: dict[str, InitializerFit] = {}
        self._skips: dict[str, tuple[Skip, ...]] = {}
        self._failures: list[str] = []
        self._last: tuple[Report, Observations] | None = None

    def look(self, watch: Watch) -> tuple[Sighting, ...]:
        """Look once; return the findings of this look.

        Whatever fails in it is noted for the report: no look ends a training run.

        Raises:
            ModelError: if the model is not made of the same parts any more.
        """
        began = perf_counter()
        check_unchanged(self._structure, self._table.network)
        try:
            self._examine(watch)
        except Exception as error:  # noqa: BLE001 - see above
            said = str(error).strip().partition("\n")[0][:200]
            self._failures.append(
                f"the look at step {watch.step:,} failed ({type(error).__name__}: {said})"
            )
        watch.forget()
        self.seconds += perf_counter() - began
        return self.sightings.at(watch.step)

    def _examine(self, watch: Watch) -> None:
        watch.close()
        gradients = watch.gradients.result(dict(watch.network.named_parameters()))
        deep = self._subject is None or self.looks % DEEP_EVERY == 0 or watch.losses.is_broken
        deep = deep or any(gradient.nonfinite for gradient in gradients.values())
        self.looks += 1
        self.last_look = watch.step
        look = self._looked(watch, deep=deep)
        seen = look.observed(watch.training(), gradients, self._fits)
        if deep:
            self._fits = dict(seen.of(InitializerFit))
        rules = look.judged(self._rules)
        report = judge(seen, rules, look.subject)
        self._last = report, seen
        skipped = {(skip.code, skip.layer) for skip in report.skipped}
        self.sightings.add(watch.step, report.findings, report.checked, skipped)
        self.checked.update(report.checked)
        for rule in rules:
            self._skips[rule.code] = tuple(s for s in report.skipped if s.code == rule.code)
        self._skips[""] = tuple(s for s in report.skipped if not s.code)

    def _looked(self, watch: Watch, *, deep: bool) -> Look:
        batches = watch.pool.batches()
        batch = batches[-1] if batches else None
        if self._subject is None or (self._subject.program is None and batch is not None):
            self._subject = self._table.subject(batch, watch.pool.form, watch.obstacle)
        self._subject = refreshed(self._subject, self._table.network)
        look = Look(self._subject, self._rules, deep=deep, seed=watch.step)
        try:
            look.look(batches)
        except (DataError, ModelError):  # a graph knows one length of sequences
            if self._subject.facts.mode == "live" or batch is None or watch.pool.form is None:
                raise
            self._subject = self._table.live(self._subject, batch, watch.pool.form)
            look = Look(self._subject, self._rules, deep=deep, seed=watch.step)
            look.look(batches)
        return look

    @property
    def skips(self) -> tuple[Skip, ...]:
        """Why rules were not applied when last they were to be."""
        return tuple(skip for code in sorted(self._skips) for skip in self._skips[code])

    def report(self, watch: Watch, done: Sequence[str], *, interrupted: bool) -> Report:
        """Return the report on all looks.

        Args:
            watch: what was noted.
            done: about findings, a sentence each.
            interrupted: training ended by an error.
        """
        report, seen = self._last or self._unseen(watch)
        findings = self.sightings.reported(seen)
        said = f"{watch.step:,} steps watched, {self.looks} looks, one every {watch.every:,} steps"
        card = replace(
            report.model,
            digest=digest(tensors_of(self._table.network)),
            notes=(said, *report.model.notes, *self._failures, *done),
        )
        nothing = (
            f"no look yet: {watch.step:,} steps were taken, the first is after {watch.every:,}"
        )
        return replace(
            report,
            model=card,
            findings=findings,
            skipped=self.skips,
            layers=layer_tree(seen, findings),
            checked=tuple(sorted(self.checked)),
            settings=differing(self._rules),
            inconclusive=report.inconclusive if self.looks else nothing,
            interrupted=interrupted,
        )

    def _unseen(self, watch: Watch) -> tuple[Report, Observations]:
        """Return what can be said before the first look."""
        subject = self._table.subject(None, None, "")
        look = Look(subject, (), deep=False, seed=0)
        seen = look.observed(watch.training(), {}, {})
        return judge(seen, (), replace(subject, notes=self._table.notes)), seen

    def restore(self, state: State) -> None:
        """Go on from what was known before."""
        self.looks, self.last_look = state.looks, state.last_look
        self.sightings.restore(state.sightings)
        self.checked = set(state.checked)
        self._skips = {}
        for skip in state.skips:
            self._skips[skip.code] = (*self._skips.get(skip.code, ()), skip)
