"""Which rules are applied, and with which limits."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError, UnknownNameError
from dnnrepair.finding import all_rules, rules
from dnnrepair.settings import changed, configured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dnnrepair.finding import Rule

FAMILY_LETTERS = 3  # of a code such as ACT001


def choose_rules(
    select: Sequence[str],
    ignore: Sequence[str],
    settings: Mapping[str, Mapping[str, object]],
    *,
    live: bool = False,
) -> tuple[Rule, ...]:
    """Return the rules to apply, in the order of their codes.

    Args:
        select: codes (``ACT001``), their beginnings (``ACT``) or names (``dead-relu``); empty means
            all.
        ignore: of the rules to leave out.
        settings: values by code and field, such as ``{"ACT001": {"warn_share": 0.6}}``.
        live: those about training runs are there to choose, too.

    Raises:
        UnknownNameError: if no rule is called so; the nearest is named.
        SettingError: if a rule has no such setting, it takes no such value, or no rule is left.
    """
    known = _known(live=live)
    wanted = codes_of(select, live=live) if select else tuple(known)
    unwanted = codes_of(ignore, live=live)
    changes = {find_rule(c, live=live): dict(values) for c, values in settings.items()}
    ready = {code: configured(known[code], values, code) for code, values in changes.items()}
    chosen = [code for code in wanted if code not in unwanted]
    if not chosen:
        message = "no rule is left to apply; select more of them or ignore fewer"
        raise SettingError(message)
    return tuple(ready.get(code) or known[code]() for code in chosen)


def codes_of(names: Iterable[str], *, live: bool = False) -> tuple[str, ...]:
    """Return the codes that codes, beginnings of codes and names stand for, in order."""
    known = _known(live=live)
    found = {code for name in names for code in _matching(name, known)}
    return tuple(sorted(found))


def find_rule(name: str, *, live: bool = False) -> str:
    """Return the code of one rule, given by code or name.

    Raises:
        UnknownNameError: if no rule is called so.
    """
    known = _known(live=live)
    for code, rule in known.items():
        if name.strip().upper() == code or name.strip().lower() == rule.name:
            return code
    raise UnknownNameError(_unknown(name, known))


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


def _known(*, live: bool) -> dict[str, type[Rule]]:
    return all_rules() if live else {code: rules[code] for code in rules}


def _matching(name: str, known: Mapping[str, type[Rule]]) -> tuple[str, ...]:
    asked = name.strip()
    by_code = tuple(code for code in known if asked and code.startswith(asked.upper()))
    by_name = tuple(code for code, rule in known.items() if rule.name == asked.lower())
    found = by_code or by_name
    if not found:
        raise UnknownNameError(_unknown(name, known))
    return found


def _unknown(name: str, known: Mapping[str, type[Rule]]) -> str:
    codes = {*known, *(code[:FAMILY_LETTERS] for code in known)}
    names = {rule.name for rule in known.values()}
    asked = name.strip()
    near = get_close_matches(asked.upper(), codes, n=1) or get_close_matches(
        asked.lower(), names, n=1
    )
    hint = f"did you mean {near[0]!r}?" if near else "'dnnrepair rules' lists them"
    return f"no rule is called {name!r}; {hint}"
