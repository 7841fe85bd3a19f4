"""Keep the README's generated parts true: ``python -m dnnrepair.cli.readme`` rewrites them.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``, where NAME is
``rules``, ``activation`` and its name, or ``help`` and a command.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from dnnrepair.cli.main import cli
from dnnrepair.cli.rules import summary
from dnnrepair.files import write_whole

WIDTH = 88  # of the help texts
_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def updated(text: str) -> str:
    """Return a README with its generated parts as they should be."""
    return _PART.sub(lambda part: f"{part[1]}{_generated(part[2])}\n{part[3]}", text)


def _generated(name: str) -> str:
    if name == "rules":
        return _rule_table()
    if name.startswith("activation "):
        return f"```text\n{_activation(name.removeprefix('activation '))}\n```"
    return f"```\n{_help(name.removeprefix('help').strip())}\n```"


def _rule_table() -> str:
    from dnnrepair.finding import all_rules

    known = list(all_rules().values())
    rows = [f"| {rule.code} | `{rule.name}` | {summary(rule)} |" for rule in known]
    return "\n".join(["| code | name | finds |", "|---|---|---|", *rows])


def _activation(name: str) -> str:
    from dnnrepair.activations import find
    from dnnrepair.activations.sheets import sheet_of
    from dnnrepair.formats.activation_text import render

    lines = render(sheet_of(find(name))).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _help(name: str) -> str:
    shown = {"terminal_width": WIDTH, **cli.context_settings}
    parent = click.Context(cli, info_name="dnnrepair", **shown)
    if not name:
        return cli.get_help(parent)
    command = cli.get_command(parent, name)
    assert command is not None  # get_command fails by itself  # noqa: S101
    return command.get_help(click.Context(command, info_name=name, parent=parent, **shown))


if __name__ == "__main__":
    readme = Path("README.md")
    write_whole(readme, updated(readme.read_text(encoding="utf-8")))
