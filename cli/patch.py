"""``dnnrepair patch``: fix chosen misclassifications, and prove what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli.command import Configured
from dnnrepair.cli.options import debug_option, goal_options, model_options, seed_option
from dnnrepair.cli.repairing import delivered, ready, repaired, search_options
from dnnrepair.files import check_writable

if TYPE_CHECKING:
    from dnnrepair.patching import Outcome

METHODS = ("anchored", "arachne", "last-layer", "gradient", "exact", "random")
_FILE = click.Path(path_type=Path)


@click.command("patch", cls=Configured)
@click.argument("model")
@model_options
@goal_options
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True)
@search_options
@click.option("--patch", "target", type=_FILE, metavar="FILE", help="Default: MODEL.patch.")
@click.option("--pareto", is_flag=True, help="Write all that would do, numbered.")
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Fix chosen misclassifications by a patch of weights.

    What is written is a patch file; MODEL stays as it is: see apply, revert and show. The data are
    split: one part is searched, one chooses among what was found, one that neither saw judges.
    Exit code 4: nothing beats the untouched network, and no patch was written.
    """
    target = given["target"] or beside(given["model"])
    output, inputs = ready(given)
    check_writable(target, keep=[*inputs, *([output.path] if output.path else [])])
    outcome = repaired(given, [given["method"]], checkpoint=target)
    found = _written(outcome, target, pareto=given["pareto"])
    return delivered(found.report, output)


def beside(model: str) -> Path:
    """Return the file that a patch goes to unless it is named."""
    if model.partition(":")[0] in ("models", "timm"):
        name = model.partition(":")[2]
        return Path("".join(c if c.isalnum() or c in "-_." else "-" for c in name) + ".patch")
    return Path(model).with_suffix(".patch")


def _written(outcome: Outcome, target: Path, *, pareto: bool) -> Outcome:
    """Write the chosen patch, or all accepted ones, and name the files in the report."""
    from dnnrepair.patches.file import write_patch
    from dnnrepair.patching import named

    names: dict[int, Path] = {}
    for place, (point, patch) in enumerate(
        zip(outcome.report.points, outcome.patches, strict=True)
    ):
        if pareto and point.accepted:
            names[place] = target.with_name(f"{target.stem}-{place + 1}{target.suffix}")
        if point.chosen:
            names[place] = target
        if place in names:
            write_patch(names[place], patch)
    return named(outcome, {place: str(path) for place, path in names.items()})
