"""``dnnrepair schema``: the form of the JSON report."""

from __future__ import annotations

import json

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option


@click.command("schema")
@click.option(
    "--kind",
    type=click.Choice(["diagnosis", "fairness", "patch", "repair", "swap"]),
    default="diagnosis",
    show_default=True,
    help="Of which report.",
)
@debug_option
def command(kind: str) -> int:
    """Print the JSON Schema of reports."""
    from dnnrepair.formats.stored import schema

    words.write(json.dumps(schema(kind), indent=2) + "\n")
    return 0
