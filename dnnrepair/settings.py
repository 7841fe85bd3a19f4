"""The fields of a registered class are its settings; their comments say what they mean.

A class is a rule or a repair method.
"""

from __future__ import annotations

import re
from ast import AnnAssign, ClassDef, Name, parse, walk
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from functools import cache
from inspect import getsource
from math import inf, isfinite
from textwrap import dedent
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dnnrepair.finding import Rule
    from dnnrepair.methods.method import Method

Value = bool | int | float | str | tuple[float, ...] | None
T = TypeVar("T")

_NUMBER = r"(-?(?:\d[\d.]*(?:e-?\d+)?|inf))"
_RANGE = re.compile(rf"[\[(]{_NUMBER},\s*{_NUMBER}[\])]")
_LEAST = re.compile(rf"\bat least {_NUMBER}")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TYPES: dict[str, type[Any]] = {
    "bool": bool,
    "int": int,
    "int | None": int,
    "float": float,
    "str": str,
    "tuple[float, ...]": tuple,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One limit that a user may change.

    Attributes:
        name: of the field.
        kind: type of its values.
        default: the value it has unless changed.
        meaning: the comment beside it, "" if there is none.
        low, high: the smallest and the largest value allowed.
    """

    name: str
    kind: type[Any]
    default: Value
    meaning: str = ""
    low: float = -inf
    high: float = inf

    def read(self, value: object, key: str) -> Value:
        """Return a value given as text or by TOML as this setting's type.

        Args:
            value: what the user gave.
            key: what the user calls the setting, for messages.

        Raises:
            SettingError: if the value is of another type or out of range.
        """
        found = _converted(value, self.kind)
        if found is None:
            raise SettingError(self._refusal(value, key, _article(self.kind)))
        numbers = found if isinstance(found, tuple) else (found,)
        if any(isinstance(n, int | float) and not self._allows(n) for n in numbers):
            raise SettingError(self._refusal(value, key, _span(self.low, self.high)))
        return found

    def _allows(self, number: float) -> bool:
        return isfinite(number) and self.low <= number <= self.high

    def _refusal(self, value: object, key: str, wanted: str) -> str:
        return f"{key} takes {wanted}, not {value!r}; its default is {self.default}"


@cache
def settings_of(rule: type[Any]) -> Mapping[str, Setting]:
    """Return the settings of a registered class by name."""
    comments = _comments(rule)
    found = {}
    for field in fields(cast("Any", rule)):
        kind = _TYPES.get(str(field.type))
        if kind is None or field.default is MISSING:
            continue
        meaning = comments.get(field.name, "")
        low, high = _bounds(meaning, field.default)
        found[field.name] = Setting(
            name=field.name,
            kind=kind,
            default=field.default,
            meaning=meaning,
            low=low,
            high=high,
        )
    return found


def configured(kind: type[T], changes: Mapping[str, object], called: str) -> T:
    """Return an instance of a registered class with some settings changed.

    Args:
        kind: the class.
        changes: values by name.
        called: what the user calls it, for messages.

    Raises:
        SettingError: if a setting is unknown or takes no such value.
    """
    known = settings_of(cast("Any", kind))
    for name in changes:
        if name not in known:
            message = f"{called} has no setting {name!r}; {nearest(name, known)}"
            raise SettingError(message)
    values = {n: known[n].read(value, f"{called}.{n}") for n, value in changes.items()}
    return kind(**values)


def changed(rule: Rule | Method) -> dict[str, Value]:
    """Return the settings of a rule or a method that differ from their defaults."""
    known = settings_of(type(rule))
    now = {name: getattr(rule, name) for name in known}
    return {name: value for name, value in now.items() if value != known[name].default}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint: the known name most like ``name``, or all of them."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(choices)}" if choices else "there are none"


def _converted(value: object, kind: type[Any]) -> Value:
    if isinstance(value, str) and kind is not str:
        return _parsed(value.strip(), kind)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return cast("Value", value) if type(value) is kind else None


def _parsed(text: str, kind: type[Any]) -> Value:
    if kind is bool:
        return _TRUTH.get(text.lower())
    try:
        if kind is tuple:
            return tuple(float(part) for part in text.split(","))
        found: Value = kind(text)
    except ValueError:
        return None
    return found


def _bounds(meaning: str, default: object) -> tuple[float, float]:
    """Return the range named in a comment; without one, limits keep their sign."""
    if isinstance(default, tuple):
        default = min(default, default=0.0)
    if isinstance(default, bool | str):
        return -inf, inf
    span, least = _RANGE.search(meaning), _LEAST.search(meaning)
    if span:
        return float(span[1]), float(span[2])
    if least:
        return float(least[1]), inf
    return (0.0, inf) if isinstance(default, int | float) and default >= 0 else (-inf, inf)


def _comments(rule: type[Any]) -> dict[str, str]:
    """Return the comment beside or above each field, read from the rule's source."""
    try:
        source = dedent(getsource(rule))
    except (OSError, TypeError):
        return {}
    lines = source.splitlines()
    body = next((node.body for node in walk(parse(source)) if isinstance(node, ClassDef)), [])
    found = {}
    for node in body:
        if isinstance(node, AnnAssign) and isinstance(node.target, Name):
            beside = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
            above = lines[node.lineno - 2].strip()
            note = beside or (above[2:] if above.startswith("# ") else "")
            found[node.target.id] = re.sub(r"\s*# noqa.*", "", note)
    return found


def _article(kind: type[Any]) -> str:
    known = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
    return known.get(kind, "numbers with commas between")


def _span(low: float, high: float) -> str:
    if isfinite(low) and isfinite(high):
        return f"numbers from {low:g} to {high:g}"
    return f"numbers of at least {low:g}" if isfinite(low) else "finite numbers"
