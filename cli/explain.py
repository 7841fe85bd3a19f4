"""``dnnrepair explain``: what a rule measures and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option

if TYPE_CHECKING:
    from dnnrepair.finding import Rule


@click.command("explain")
@click.argument("rule")
@debug_option
def command(rule: str) -> int:
    """Print what a rule measures and what to do.

    RULE is a code such as ACT001 or a name such as dead-relu.
    """
    from dnnrepair.finding import all_rules
    from dnnrepair.selection import find_rule

    text = explained(all_rules()[find_rule(rule, live=True)])
    words.write(_styled(text) if words.colored() else text)
    return 0


def explained(rule: type[Rule]) -> str:
    """Return the documentation of a rule and of its settings as Markdown."""
    from inspect import cleandoc

    from dnnrepair.finding import live_rules
    from dnnrepair.settings import settings_of

    settings = [
        f"- `{s.name} = {s.default}`{f': {s.meaning}' if s.meaning else ''}"
        for s in settings_of(rule).values()
    ]
    parts = [f"# {rule.code} {rule.name}", cleandoc(rule.__doc__ or "")]
    if settings:
        table = f"[tool.dnnrepair.rules.{rule.code}]"
        use = f"Change one with `--set {rule.code}.name=value` or in `{table}`."
        if rule.code in live_rules:
            use = f"Change one with `Monitor(..., settings={{'{rule.code}': {{'name': value}}}})`."
        parts.append("\n".join(["## Settings", *settings, "", use]))
    return "\n\n".join(parts) + "\n"


def _styled(text: str) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.markdown import Markdown

    page = StringIO()
    console = Console(file=page, width=min(words.width(), 100), force_terminal=True)
    console.print(Markdown(text))
    return page.getvalue()
