"""Each finding once, however often it is seen, with the steps at which it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dnnrepair.causes import by_cause
from dnnrepair.finding import Finding, Severity, live_rules
from dnnrepair.layers import everything

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dnnrepair.observation import Observations

    Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A finding over the whole run.

    Attributes:
        finding: as it was when last seen, without consequences.
        first, last: optimizer steps taken when it was first and last seen.
        looks: how often it was seen.
        streak: how often in a row, up to the last look at its rule; 0 if it is gone.
        gone: the look at which it was first missing again, None while it lasts.
    """

    finding: Finding
    first: int
    last: int
    looks: int = 1
    streak: int = 1
    gone: int | None = None

    @property
    def when(self) -> str:
        """When it was seen, in words."""
        if self.first == self.last:
            return f"seen at step {self.first:,}"
        return f"seen at {self.looks} looks from step {self.first:,} to step {self.last:,}"

    @property
    def reported(self) -> Finding:
        """The finding with when it was seen; a note if it is gone."""
        finding, said = self.finding, [*self.finding.evidence, self.when]
        if self.gone is None:
            return replace(finding, evidence=tuple(said))
        was = "" if finding.severity is Severity.NOTE else f" (was: {finding.severity})"
        return replace(
            finding,
            severity=Severity.NOTE,
            message=f"{finding.message}; gone since step {self.gone:,}{was}",
            evidence=tuple(said),
        )


class Sightings:
    """All findings of a run."""

    def __init__(self) -> None:
        """Start without findings."""
        self._known: dict[Key, Sighting] = {}

    def add(
        self,
        step: int,
        findings: Iterable[Finding],
        judged: Collection[str],
        skipped: Collection[tuple[str, str]] = (),
    ) -> None:
        """Note the findings of one look.

        Args:
            step: optimizer steps taken.
            findings: with their consequences inside.
            judged: codes of the rules that were applied; what others found before still stands.
            skipped: code and layer of what they could not judge; that stands, too.
        """
        seen: dict[Key, Finding] = {}
        for finding in everything(findings):
            count = sum(key[:2] == (finding.code, finding.layer) for key in seen)
            seen[finding.code, finding.layer, count] = replace(finding, consequences=())
        for key, finding in seen.items():
            known = self._known.get(key)
            if known is None:
                self._known[key] = Sighting(finding=finding, first=step, last=step)
                continue
            self._known[key] = replace(
                known,
                finding=finding,
                last=step,
                looks=known.looks + 1,
                streak=known.streak + 1,
                gone=None,
            )
        for key, known in self._known.items():
            looked = key[0] in judged and key[:2] not in skipped
            if looked and key not in seen and known.gone is None:
                self._known[key] = replace(known, streak=0, gone=step)

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator of sightings
        """Yield them in the order in which they were first seen."""
        return iter(tuple(self._known.values()))

    def at(self, step: int) -> tuple[Sighting, ...]:
        """Return those that were seen at this step's look."""
        return tuple(one for one in self if one.last == step and one.gone is None)

    def reported(self, seen: Observations) -> tuple[Finding, ...]:
        """Return all findings, worst first; those about the network with their consequences.

        Findings about the run stay alone: what causes what is not known of them.
        """
        ready = [sighting.reported for sighting in self]
        network = by_cause([f for f in ready if f.code not in live_rules], seen)
        run = [finding for finding in ready if finding.code in live_rules]
        return tuple(sorted((*run, *network), key=lambda finding: finding.severity.rank))

    def restore(self, sightings: Iterable[Sighting]) -> None:
        """Take the place of what is known by what was known before."""
        self._known = {}
        for one in sightings:
            pair = (one.finding.code, one.finding.layer)
            count = sum(key[:2] == pair for key in self._known)
            self._known[(*pair, count)] = one
