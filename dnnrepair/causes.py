"""Root causes first: attach findings that follow from another to the one they follow from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.finding import Finding
    from dnnrepair.observation import Observations

# From cause to consequence (NUM before DAT before INI ... before OUT); those of one line are peers.
# A code counts before its family.
ORDER: tuple[tuple[str, ...], ...] = (
    ("NUM",),
    ("MOD",),
    ("DAT",),
    ("INI", "EMB", "WGT"),
    ("BN", "LN"),
    ("RNN", "ATT", "RES"),
    ("ACT001", "ACT002", "ACT003", "ACT004"),  # units out of reach
    ("ACT", "WGT001"),  # what that does to a layer as a whole
    ("GRD",),
    ("OUT", "GEN"),
)
BACKWARD = "GRD"  # gradients flow back: a fault anywhere shows in them everywhere


def family(code: str) -> str:
    """Return the letters of a rule's code.

    >>> family("BN002")
    'BN'
    """
    return code.rstrip("0123456789")


def rank(code: str) -> int:
    """Return the place of a code from cause (0) to consequence."""
    known = {name: place for place, names in enumerate(ORDER) for name in names}
    return known.get(code, known.get(family(code), len(ORDER)))


def by_cause(findings: Sequence[Finding], seen: Observations) -> tuple[Finding, ...]:
    """Return the root findings, worst first, each with its consequences inside.

    A finding follows from another if that one's family comes earlier in ``ORDER``, it is at least
    as severe and no mere note, and it lies upstream. A finding about gradients or about the whole
    network follows from a fault anywhere.
    """
    ordered = sorted(findings, key=lambda f: (rank(f.code), f.severity.rank, _place(f, seen)))
    followers: dict[int, list[Finding]] = {}
    roots: list[Finding] = []
    for finding in ordered:
        cause = next((root for root in roots if _explains(root, finding, seen)), None)
        if cause is None:
            roots.append(finding)
        else:
            followers.setdefault(id(cause), []).append(finding)
    linked = [replace(f, consequences=tuple(followers.get(id(f), ()))) for f in roots]
    return tuple(sorted(linked, key=lambda f: (f.severity.rank, rank(f.code), _place(f, seen))))


def _explains(root: Finding, finding: Finding, seen: Observations) -> bool:
    if rank(root.code) >= rank(finding.code) or root.severity.rank > finding.severity.rank:
        return False
    if root.severity is Severity.NOTE:  # what is harmless alone explains nothing
        return False
    if family(finding.code) == BACKWARD:
        return bool(finding.site)  # what is never run has no gradient for reasons of its own
    if not root.layer or not finding.layer:
        return True
    return _place(root, seen) <= _place(finding, seen)


def _place(finding: Finding, seen: Observations) -> int:
    """Return the position in execution order, or in the state dict where there is no graph."""
    if finding.site in seen.sites:
        return seen.sites.position(finding.site)
    for place, site in enumerate(seen.sites):
        if site.layer == finding.layer:
            return place
    layers = [info.layer for info in seen.tensors.values()]
    return layers.index(finding.layer) if finding.layer in layers else 0
