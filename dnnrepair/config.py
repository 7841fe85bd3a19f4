"""Settings from ``[tool.dnnrepair]`` of the nearest ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import SettingError
from dnnrepair.settings import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

FILE = "pyproject.toml"
SECTION = "dnnrepair"
RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a project has settled for all its runs.

    Attributes:
        path: the file it comes from, None if there is none.
        options: values by option name, such as ``{"fail-on": "warning"}``.
        rules: limits by rule code and field.
    """

    path: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_config(
    start: Path, known: Collection[str], others: Callable[[], Collection[str]] = tuple
) -> Config:
    """Return the settings that hold in a folder.

    Args:
        start: folder from which to look, upwards, for a file that has the section.
        known: names of the options that may be set.
        others: returns more such names; asked only where a name is not known.

    Raises:
        SettingError: if the file cannot be read or holds an unknown key.
    """
    for folder in (start, *start.parents):
        path = folder / FILE
        section = _section(path) if path.is_file() else None
        if section is not None:
            return _checked(path, section, known, others)
    return Config()


def _section(path: Path) -> Any:  # noqa: ANN401 - whatever TOML holds
    try:
        tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"cannot read {path}: {error}"
        raise SettingError(message) from error
    return tool.get(SECTION) if isinstance(tool, dict) else None


def _checked(
    path: Path,
    section: Any,  # noqa: ANN401
    known: Collection[str],
    others: Callable[[], Collection[str]],
) -> Config:
    table = _table(section, path, f"tool.{SECTION}")
    if not table.keys() <= {RULES, *known}:
        known = {*known, *others()}
    for key in table:
        if key != RULES and key not in known:
            message = f"{path}: [tool.{SECTION}] has no key {key!r}; {nearest(key, known)}"
            raise SettingError(message)
    by_rule = _table(table.get(RULES, {}), path, f"tool.{SECTION}.{RULES}")
    limits = {
        code: _table(values, path, f"tool.{SECTION}.{RULES}.{code}")
        for code, values in by_rule.items()
    }
    options = {key: value for key, value in table.items() if key != RULES}
    return Config(path=path, options=options, rules=limits)


def _table(value: Any, path: Path, name: str) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        message = f"{path}: {name} must be a table, not {value!r}"
        raise SettingError(message)
    return value
