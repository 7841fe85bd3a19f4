"""``dnnrepair compare``: every method on the same split."""

from __future__ import annotations

from typing import Any

import click

from dnnrepair.cli.command import Configured
from dnnrepair.cli.options import debug_option, goal_options, model_options, seed_option
from dnnrepair.cli.patch import METHODS
from dnnrepair.cli.repairing import delivered, ready, repaired, search_options
from dnnrepair.cli.values import names


@click.command("compare", cls=Configured)
@click.argument("model")
@model_options
@goal_options
@click.option("--methods", metavar="A,B", callback=names, help=f"Default: {', '.join(METHODS)}.")
@search_options
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Compare repair methods on the same data.

    All work on the same split, and nothing is patched. Options are those of patch. With
    --output report.html the trade-off of each method is drawn.
    """
    output, _ = ready(given)
    return delivered(repaired(given, given["methods"] or METHODS).report, output)
