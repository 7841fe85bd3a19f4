"""A network on its way through a repair, and how long there is for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.causes import rank
from dnnrepair.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dnnrepair.finding import Finding
    from dnnrepair.repairing.judging import Judged
    from dnnrepair.subject import Subject
    from dnnrepair.swap_report import Swap

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
        inconclusive: why the data are too few to diagnose it, "" if they are not.
    """

    subject: Subject
    findings: tuple[Finding, ...]
    roots: tuple[Finding, ...]
    selection: Judged
    swaps: tuple[Swap, ...] = ()
    structural: bool = False
    inconclusive: str = ""

    @property
    def codes(self) -> frozenset[str]:
        """Codes of all findings."""
        return frozenset(finding.code for finding in self.findings)

    @property
    def errors(self) -> frozenset[str]:
        """Codes of the errors among them."""
        return frozenset(f.code for f in self.findings if f.severity is Severity.ERROR)


def urgent(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what is treated."""
    return (finding for finding in findings if finding.severity in URGENT)


def order(finding: Finding) -> tuple[int, int, str]:
    """Return what findings are sorted by: causes before consequences, the worst first."""
    return rank(finding.code), finding.severity.rank, finding.code
