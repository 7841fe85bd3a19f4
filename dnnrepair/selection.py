"""Which rules are applied, and with which limits."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError, UnknownNameError
from dnnrepair.finding import rules
from dnnrepair.settings import changed, configured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dnnrepair.finding import Rule

FAMILY_LETTERS = 3  # of a code such as ACT001


def choose_rules(
    select: Sequence[str],
    ignore: Sequence[str],
    settings: Mapping[str, Mapping[str, object]],
) -> tuple[Rule, ...]:
    """Return the rules to apply, in the order of their codes.

    Args:
        select: codes (``ACT001``), their beginnings (``ACT``) or names (``dead-relu``); empty means
            all.
        ignore: of the rules to leave out.
        settings: values by code and field, such as ``{"ACT001": {"warn_share": 0.6}}``.

    Raises:
        UnknownNameError: if no rule is called so; the nearest is named.
        SettingError: if a rule has no such setting, it takes no such value, or no rule is left.
    """
    wanted = codes_of(select) if select else tuple(rules)
    unwanted = codes_of(ignore)
    changes = {find_rule(code): dict(values) for code, values in settings.items()}
    ready = {code: configured(rules[code], values, code) for code, values in changes.items()}
    chosen = [code for code in wanted if code not in unwanted]
    if not chosen:
        message = "no rule is left to apply; select more of them or ignore fewer"
        raise SettingError(message)
    return tuple(ready.get(code) or rules[code]() for code in chosen)


def codes_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the codes that codes, beginnings of codes and names stand for, in order."""
    found = {code for name in names for code in _matching(name)}
    return tuple(sorted(found))


def find_rule(name: str) -> str:
    """Return the code of one rule, given by code or name.

    Raises:
        UnknownNameError: if no rule is called so.
    """
    for code in rules:
        if name.strip().upper() == code or name.strip().lower() == rules[code].name:
            return code
    raise UnknownNameError(_unknown(name))


def differing(chosen: Iterable[Rule]) -> tuple[str, ...]:
    """Return the settings that differ from their defaults, ``ACT001.warn_share = 0.6`` each."""
    return tuple(
        f"{rule.code}.{name} = {value}" for rule in chosen for name, value in changed(rule).items()
    )


def parse_setting(text: str) -> tuple[str, str, str]:
    """Return code, field and value from ``ACT001.field=value``.

    Raises:
        SettingError: if the text has another form.
    """
    place, equals, value = text.partition("=")
    code, dot, field = place.strip().partition(".")
    if not (equals and dot and code and field and value.strip()):
        message = f"--set takes CODE.field=value, such as ACT001.warn_share=0.6, not {text!r}"
        raise SettingError(message)
    return code, field, value.strip()


def _matching(name: str) -> tuple[str, ...]:
    asked = name.strip()
    by_code = tuple(code for code in rules if asked and code.startswith(asked.upper()))
    by_name = tuple(code for code in rules if rules[code].name == asked.lower())
    found = by_code or by_name
    if not found:
        raise UnknownNameError(_unknown(name))
    return found


def _unknown(name: str) -> str:
    codes = {*rules, *(code[:FAMILY_LETTERS] for code in rules)}
    names = {rules[code].name for code in rules}
    asked = name.strip()
    near = get_close_matches(asked.upper(), codes, n=1) or get_close_matches(
        asked.lower(), names, n=1
    )
    hint = f"did you mean {near[0]!r}?" if near else "'dnnrepair rules' lists them"
    return f"no rule is called {name!r}; {hint}"
