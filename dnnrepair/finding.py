"""What a diagnosis says, and the rules that say it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dnnrepair.observation import Observations


class Severity(StrEnum):
    """How urgent a finding is; compare with :attr:`rank`."""

    ERROR = "error"  # broken
    WARNING = "warning"  # likely costs accuracy or trainability
    NOTE = "note"  # true, but harmless alone

    @property
    def rank(self) -> int:
        """Order of urgency, 0 is worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One thing to do about a finding.

    Attributes:
        advice: what to do and why, one sentence.
        code: Python that does it to a module called ``model`` (plain torch, can be pasted), or "".
        command: a shell command that does it, or "".
    """

    advice: str
    code: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault in one place, with the number that shows it.

    Attributes:
        code: of the rule, such as ``ACT001``.
        severity: how urgent it is.
        layer: dotted name of the layer, "" for the whole network.
        message: the fault in one sentence, numbers included.
        measured: the number the verdict rests on, in ``unit``.
        limit: the bound that ``measured`` broke.
        healthy: what healthy networks show, in words, such as "at most 45 %".
        unit: of ``measured`` and ``limit`` ("1" for a pure number, "share" for [0, 1]).
        where: ``file:line`` in the user's code, where the graph carries it.
        site: name of the operation in the graph, "" if none.
        units: the units (channels, features, heads, rows) concerned, from 0.
        evidence: further measured facts, a sentence each.
        remedies: best first.
        consequences: findings that follow from this one.
    """

    code: str
    severity: Severity
    layer: str
    message: str
    measured: float
    limit: float
    healthy: str = ""
    unit: str = "1"
    where: str | None = None
    site: str = ""
    units: tuple[int, ...] = ()
    evidence: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    consequences: tuple[Finding, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Identify this fault across runs (not its measured value)."""
        return sha256(f"{self.code}:{self.layer}".encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A check that was not made, in one place (``layer``) or at all, and what it would need."""

    code: str
    reason: str
    layer: str = ""


class Rule(Protocol):
    """A frozen dataclass: fields are its limits, docstring is its explanation.

    The docstring's first line names the fault; the sections ``## What it measures``, ``## Why it
    matters``, ``## What to do``, ``## Limits`` and ``## Source`` follow.
    """

    code: ClassVar[str]  # set by the decorator
    name: ClassVar[str]  # kebab-case fault, such as "dead-relu"
    needs: ClassVar[frozenset[type]]  # evidence types without which the rule is skipped
    wants: ClassVar[frozenset[type]]  # evidence types used where present

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding per faulty place, and a skip per place that could not be judged."""
        ...


R = TypeVar("R", bound=Rule)

rules: Registry[type[Rule]] = Registry("rule", "dnnrepair.rules")
live_rules: Registry[type[Rule]] = Registry("rule", "dnnrepair.live_rules")


def rule(code: str) -> Callable[[type[R]], type[R]]:
    """Register a rule under its code (three letters of its family and three digits)."""
    return _filing(code, rules)


def live_rule(code: str) -> Callable[[type[R]], type[R]]:
    """Register a rule about a training run, which only a monitor can apply."""
    return _filing(code, live_rules)


def all_rules() -> dict[str, type[Rule]]:
    """Return all rules by code, those about training runs among them, in order."""
    known = [(code, kept[code]) for kept in (rules, live_rules) for code in kept]
    return dict(sorted(known, key=lambda pair: pair[0]))


def _filing(code: str, kept: Registry[type[Rule]]) -> Callable[[type[R]], type[R]]:
    def file(cls: type[R]) -> type[R]:
        cls.code = code
        kept.file(code, cls)
        return cls

    return file
