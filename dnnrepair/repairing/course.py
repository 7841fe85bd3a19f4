"""The loop: try treatments on copies, keep what clears a finding and improves the measure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from dnnrepair.causes import rank
from dnnrepair.diagnose import diagnose
from dnnrepair.errors import DnnRepairError
from dnnrepair.finding import Severity
from dnnrepair.layers import everything
from dnnrepair.progress import silent
from dnnrepair.recover import Lesson
from dnnrepair.repair_report import Attempt
from dnnrepair.repairing.judging import better, judged
from dnnrepair.repairing.treatment import Case, suitable, treatments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dnnrepair.finding import Finding, Rule
    from dnnrepair.progress import Progress
    from dnnrepair.repairing.judging import Judged
    from dnnrepair.repairing.parts import Parts
    from dnnrepair.repairing.treatment import Treatment
    from dnnrepair.subject import Subject
    from dnnrepair.swap_report import Swap

INTERRUPTED = "interrupted"
URGENT = (Severity.ERROR, Severity.WARNING)  # what is treated; a note is harmless alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When to stop trying.

    Attributes:
        seconds: of wall clock, above 0; None for any. An epoch that has begun is finished.
        attempts: at least 1.
    """

    seconds: float | None = 600.0
    attempts: int = 20


@dataclass(frozen=True, kw_only=True)
class State:
    """A network on its way, and what is known of it.

    Attributes:
        subject: the network.
        findings: its errors and warnings, consequences among them.
        roots: those that follow from no other, in the order in which they are treated.
        selection: its answers to the selection part.
        swaps: what operations did to it so far.
        structural: its graph is no longer the one that came.
    """

    subject: Subject
    findings: tuple[Finding, ...]
    roots: tuple[Finding, ...]
    selection: Judged
    swaps: tuple[Swap, ...] = ()
    structural: bool = False

    @property
    def codes(self) -> frozenset[str]:
        """Codes of all findings."""
        return frozenset(finding.code for finding in self.findings)

    @property
    def errors(self) -> frozenset[str]:
        """Codes of the errors among them."""
        return frozenset(f.code for f in self.findings if f.severity is Severity.ERROR)


@dataclass(kw_only=True)
class Trial:
    """A series of attempts on one network.

    Attributes:
        parts: the data.
        rules: that diagnose.
        seed: of whatever is random.
        budget: when to stop.
        progress: is told how far the work has come.
        attempts: all that were made.
        skipped: what could not be tried, with reasons.
    """

    parts: Parts
    rules: Sequence[Rule]
    seed: int
    budget: Budget
    progress: Progress = silent
    attempts: list[Attempt] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _began: float = field(default_factory=perf_counter)

    def state(
        self, subject: Subject, swaps: tuple[Swap, ...] = (), *, structural: bool = False
    ) -> State:
        """Diagnose a network on what was seen of the data, and ask it the selection part."""
        seen = replace(subject, samples=self.parts.seen)
        report = diagnose(seen, self.rules, seed=self.seed, progress=silent)
        return State(
            subject=subject,
            findings=tuple(_urgent(everything(report.findings))),
            roots=tuple(sorted(_urgent(report.findings), key=_order)),
            selection=judged(subject, self.parts.selection),
            swaps=swaps,
            structural=structural,
        )

    def run(self, state: State) -> tuple[State, str]:
        """Treat one cause after another; return what the network has become, and why it ended."""
        tried: set[tuple[str, str]] = set()
        while True:
            pair = next(_waiting(state, tried), None)
            if pair is None:
                return self._challenged(state, tried)
            over = self.over()
            if over:
                return state, over
            code, kind = pair
            tried.add((code, kind.name))
            try:
                state = self.attempt(state, kind(), code)
            except KeyboardInterrupt:  # what was kept so far is not lost
                return state, INTERRUPTED

    def over(self) -> str:
        """Return why no further attempt is made, "" if one may be."""
        if len(self.attempts) >= self.budget.attempts:
            return f"the budget of {self.budget.attempts} attempts is spent"
        spent = perf_counter() - self._began
        if self.budget.seconds is not None and spent >= self.budget.seconds:
            return f"the budget of {self.budget.seconds:g} s is spent"
        return ""

    def _left(self) -> float | None:
        """Return the seconds that are left of the budget."""
        if self.budget.seconds is None:
            return None
        return max(self.budget.seconds - (perf_counter() - self._began), 0.0)

    def attempt(self, state: State, kind: Treatment, code: str) -> State:
        """Try a treatment on a copy; return the copy's state if it is kept, else the network's."""
        number, began = len(self.attempts) + 1, perf_counter()
        self.progress.note(f"{number}: {kind.name}")
        findings = tuple(f for f in state.findings if f.code == code)
        tried = Attempt(
            number=number,
            code=code,
            layer=findings[0].layer if findings else "",
            treatment=kind.name,
            before=state.selection.score,
        )
        try:
            treated = kind.treat(self._case(state, findings, code, number))
            after = self.state(treated.subject, structural=state.structural or treated.structural)
        except DnnRepairError as error:
            self.skipped.append(f"{kind.name}{f', against {code}' if code else ''}: {error}")
            return state
        kept, reason = self.worth(state, after, code)
        self.attempts.append(
            replace(
                tried,
                done=treated.done,
                epochs=treated.epochs,
                after=after.selection.score,
                cleared=code not in after.codes if code else None,
                left=tuple(sorted(after.codes)),
                kept=kept,
                reason=reason,
                seconds=round(perf_counter() - began, 3),
            )
        )
        self.progress.advance(1)
        return after if kept else state

    def worth(self, before: State, after: State, code: str) -> tuple[bool, str]:
        """Return whether a copy is kept, and in words why."""
        if code and code in after.codes:
            return False, f"{code} is still there"
        fresh = after.errors - before.errors
        if fresh:
            return False, f"it brings {', '.join(sorted(fresh))}"
        improved, reason = better(before.selection, after.selection)
        if improved and code:
            reason = f"{code} is cleared, and {reason}"
        return improved, reason

    def _case(self, state: State, findings: tuple[Finding, ...], code: str, number: int) -> Case:
        return Case(
            subject=replace(state.subject, samples=self.parts.search),
            code=code,
            findings=findings,
            lesson=Lesson(
                train=self.parts.search,
                valid=self.parts.selection,
                loss=state.subject.facts.loss,
            ),
            generator=torch.Generator().manual_seed(self.seed + number),
            seconds=self._left(),
            progress=silent,
        )

    def _challenged(self, state: State, tried: set[tuple[str, str]]) -> tuple[State, str]:
        """Ask, where something was kept, whether training afresh would have done better."""
        kept = [attempt for attempt in self.attempts if attempt.kept]
        done = "every treatment for what was found has been tried"
        ended = done if state.roots else "nothing is left to treat"
        afresh = "train afresh"
        if not kept or kept[-1].treatment.endswith("afresh") or ("", afresh) in tried:
            return state, ended
        if self.over():
            return state, ended
        before = len(self.attempts)
        found = self.attempt(state, treatments[afresh](), "")
        fresh = self.attempts[before] if len(self.attempts) > before else None
        if fresh is not None and fresh.kept and found.codes - state.codes:
            message = f"it brings {', '.join(sorted(found.codes - state.codes))}"
            self.attempts[before] = replace(fresh, kept=False, reason=message)
            return state, ended
        return found, ended


def _waiting(state: State, tried: set[tuple[str, str]]) -> Iterator[tuple[str, type[Treatment]]]:
    """Yield what can still be tried: causes first, and for each what puts least at risk."""
    for code in dict.fromkeys(finding.code for finding in state.roots):
        for kind in suitable(code):
            if (code, kind.name) not in tried:
                yield code, kind


def _order(finding: Finding) -> tuple[int, int, str]:
    return rank(finding.code), finding.severity.rank, finding.code


def _urgent(findings: Iterable[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.severity in URGENT)
