"""``dnnrepair show``: what a patch changes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option


@click.command("show")
@click.argument("patch", type=click.Path(path_type=Path))
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text")
@click.option("--all", "everything", is_flag=True, help="List every number.")
@debug_option
def command(patch: Path, output_format: str, *, everything: bool) -> int:
    """Show what a patch changes.

    And what it did to the data that it was judged on. Of a tensor in which many numbers change,
    the largest changes are listed.
    """
    from dnnrepair.formats.sheets import as_json, as_text
    from dnnrepair.patches.file import read_patch
    from dnnrepair.patches.sheet import MANY, sheet_of

    many = sys.maxsize if everything else MANY
    sheet = sheet_of(read_patch(patch), str(patch), many=many)
    if output_format == "json":
        words.write(as_json(sheet))
    else:
        plain = not words.can_show("…→")
        words.write(as_text(sheet, width=words.width(), color=words.colored(), ascii_only=plain))
    return 0
