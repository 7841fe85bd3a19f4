"""Commands whose options may also come from the environment and from pyproject.toml."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from dnnrepair.config import read_config
from dnnrepair.errors import SettingError

RULES = "dnnrepair.rules"  # key under which the rules' settings travel
_ONLY_FLAGS = frozenset({"debug", "trust_pickle", "settings", "output"})  # not for a project to say


class Configured(click.Command):
    """Takes ``[tool.dnnrepair]`` < ``DNNREPAIR_*`` < flags."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own signature
    ) -> click.Context:
        """Read the project's settings before the flags."""
        if {"-h", "--help"} & set(args):
            return super().make_context(info_name, args, parent, **extra)
        options = {_key(option): option for option in self.params if _configurable(option)}
        config = read_config(Path.cwd(), options, _of_others)
        defaults = {
            options[key].name: _shaped(options[key], value, f"{config.path}: {key}")
            for key, value in config.options.items()
            if key in options
        }
        extra |= {"default_map": defaults, "auto_envvar_prefix": "DNNREPAIR"}
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[RULES] = config.rules
        return context


def _of_others() -> frozenset[str]:
    """Return what a project may set for any command: one section serves them all."""
    from dnnrepair.cli.main import COMMANDS

    commands = (import_module(f"dnnrepair.cli.{name}").command for name in COMMANDS)
    configured = (command for command in commands if isinstance(command, Configured))
    return frozenset(_key(o) for command in configured for o in command.params if _configurable(o))


def _configurable(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and option.name not in _ONLY_FLAGS


def _key(option: click.Parameter) -> str:
    return max(option.opts, key=len).lstrip("-")


def _shaped(option: click.Parameter, value: Any, where: str) -> Any:  # noqa: ANN401 - any TOML
    """Return a TOML value in the form in which click takes it from a flag."""
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        joined = ",".join(map(str, value))
        return (joined,) if option.multiple else joined
    if not isinstance(value, str | int | float):
        message = f"{where} takes text, a number, true, false or a list of those, not {value!r}"
        raise SettingError(message)
    flag = isinstance(option, click.Option) and option.is_flag
    if flag is not isinstance(value, bool):
        message = f"{where} takes {'true or false' if flag else 'text or a number'}, not {value!r}"
        raise SettingError(message)
    return (value,) if option.multiple else value
