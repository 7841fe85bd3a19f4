"""``dnnrepair activations``: every activation, or all about one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option
from dnnrepair.cli.output import SUFFIXES
from dnnrepair.files import check_writable, write_whole

FORMATS = ("text", "json", "markdown", "html")


@click.command("activations")
@click.argument("name", required=False)
@click.option("--output-format", type=click.Choice(FORMATS), help="Default: by suffix, else text.")
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path), help="Default: stdout.")
@debug_option
def command(name: str | None, output_format: str | None, output: Path | None) -> int:
    """List the activations, or print all about one.

    NAME is one of the list, such as xielu: its formula and source, where its values and slopes lie,
    where it is flat, the gain and initializer that suit it, what it can replace without changing
    the function, and the source of its module in plain torch.
    """
    if output is not None:
        check_writable(output, keep=())
    style = output_format or _style(output)
    from dnnrepair.activations import find
    from dnnrepair.activations.sheets import sheet_of, sheets

    draw: Any = import_module(f"dnnrepair.formats.activation_{style}")
    options = _terminal() if style == "text" and output is None else {}
    text: str = (
        draw.render(sheet_of(find(name)), **options) if name else draw.table(sheets(), **options)
    )
    if output is None:
        words.write(text)
    else:
        write_whole(output, text)
        words.say(f"written to {output}")
    return 0


def _style(output: Path | None) -> str:
    style = SUFFIXES.get(output.suffix.lower(), "text") if output else "text"
    return style if style in FORMATS else "text"


def _terminal() -> dict[str, Any]:
    plain = not words.can_show("─⠿…")
    return {"width": words.width(), "color": words.colored(), "ascii_only": plain}
