"""``dnnrepair rules``: everything that is checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option

if TYPE_CHECKING:
    from dnnrepair.finding import Rule


@click.command("rules")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text")
@debug_option
def command(output_format: str) -> int:
    """List the rules with what each finds."""
    from dnnrepair.finding import all_rules

    known = list(all_rules().values())
    words.write(_json(known) if output_format == "json" else _text(known))
    return 0


def summary(rule: type[Rule]) -> str:
    """Return the first line of a rule's documentation."""
    return (rule.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _text(known: list[type[Rule]]) -> str:
    wide = max((len(rule.name) for rule in known), default=0)
    return "\n".join(f"{rule.code}  {rule.name:<{wide}}  {summary(rule)}" for rule in known) + "\n"


def _json(known: list[type[Rule]]) -> str:
    described = {"schema_version": 1, "rules": [_described(rule) for rule in known]}
    return json.dumps(described, indent=2) + "\n"


def _described(rule: type[Rule]) -> dict[str, Any]:
    from inspect import cleandoc

    from dnnrepair.settings import settings_of

    return {
        "code": rule.code,
        "name": rule.name,
        "summary": summary(rule),
        "explanation": cleandoc(rule.__doc__ or ""),
        "needs": sorted(kind.__name__ for kind in rule.needs),
        "wants": sorted(kind.__name__ for kind in rule.wants),
        "settings": [
            {"name": s.name, "type": s.kind.__name__, "default": s.default, "meaning": s.meaning}
            for s in settings_of(rule).values()
        ],
    }
