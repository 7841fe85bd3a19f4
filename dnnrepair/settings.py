"""The fields of a rule are its settings; their comments say what they mean and where they end."""

from __future__ import annotations

import re
from ast import AnnAssign, ClassDef, Name, parse, walk
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from functools import cache
from inspect import getsource
from math import inf, isfinite
from textwrap import dedent
from typing import TYPE_CHECKING, Any, cast

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dnnrepair.finding import Rule

Value = bool | int | float | str

_NUMBER = r"(-?(?:\d[\d.]*(?:e-?\d+)?|inf))"
_RANGE = re.compile(rf"[\[(]{_NUMBER},\s*{_NUMBER}[\])]")
_LEAST = re.compile(rf"\bat least {_NUMBER}")
_TYPES: dict[str, type[Value]] = {"bool": bool, "int": int, "float": float, "str": str}


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
    kind: type[Value]
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
        if isinstance(found, int | float) and not (
            isfinite(found) and self.low <= found <= self.high
        ):
            raise SettingError(self._refusal(value, key, _span(self.low, self.high)))
        return found

    def _refusal(self, value: object, key: str, wanted: str) -> str:
        return f"{key} takes {wanted}, not {value!r}; its default is {self.default}"


@cache
def settings_of(rule: type[Rule]) -> Mapping[str, Setting]:
    """Return the settings of a rule by name."""
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


def configured(rule: type[Rule], changes: Mapping[str, object]) -> Rule:
    """Return an instance of the rule with some settings changed.

    Raises:
        SettingError: if a setting is unknown or takes no such value.
    """
    known = settings_of(rule)
    for name in changes:
        if name not in known:
            message = f"{rule.code} has no setting {name!r}; {nearest(name, known)}"
            raise SettingError(message)
    values = {n: known[n].read(value, f"{rule.code}.{n}") for n, value in changes.items()}
    return rule(**values)


def changed(rule: Rule) -> dict[str, Value]:
    """Return the settings of a rule that differ from their defaults."""
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


def _converted(value: object, kind: type[Value]) -> Value | None:
    if isinstance(value, str) and kind is not str:
        return _parsed(value.strip(), kind)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is kind and isinstance(value, kind) else None


def _parsed(text: str, kind: type[Value]) -> Value | None:
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            text.lower()
        )
    try:
        return kind(text)
    except ValueError:
        return None


def _bounds(meaning: str, default: object) -> tuple[float, float]:
    """Return the range named in a comment; without one, limits keep their sign."""
    if isinstance(default, bool) or not isinstance(default, int | float):
        return -inf, inf
    span, least = _RANGE.search(meaning), _LEAST.search(meaning)
    if span:
        return float(span[1]), float(span[2])
    if least:
        return float(least[1]), inf
    return (0.0, inf) if default >= 0 else (-inf, inf)


def _comments(rule: type[Rule]) -> dict[str, str]:
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


def _article(kind: type[Value]) -> str:
    return {bool: "true or false", int: "an integer", float: "a number", str: "text"}[kind]


def _span(low: float, high: float) -> str:
    if isfinite(low) and isfinite(high):
        return f"numbers from {low:g} to {high:g}"
    return f"numbers of at least {low:g}" if isfinite(low) else "finite numbers"
