"""What ``dnnrepair patch`` and ``dnnrepair compare`` have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.goals import files_of, goal_of
from dnnrepair.cli.options import with_all
from dnnrepair.cli.output import Output, drawn
from dnnrepair.cli.progress import working
from dnnrepair.cli.requests import inputs_of, request_of
from dnnrepair.cli.values import names
from dnnrepair.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.board import PatchOptions
    from dnnrepair.methods.method import Method
    from dnnrepair.patch_report import PatchReport
    from dnnrepair.patching import Outcome
    from dnnrepair.request import Request

STYLES = ("text", "json", "markdown", "html")
_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--layer", metavar="NAME", callback=names, multiple=True, help="That may change."),
    click.option("--test-data", metavar="DATA", help="Judge on these; default: a part of --data."),
    click.option("--set", "settings", multiple=True, metavar="METHOD.KEY=VALUE", help="Configure."),
    click.option("--output-format", type=click.Choice(STYLES), help="Default: by suffix, or text."),
    click.option("--output", metavar="FILE", type=_FILE, help="Of the report. Default: stdout."),
)


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take how to search, and where to report."""
    return with_all(_OPTIONS, command)


def ready(given: dict[str, Any]) -> tuple[Output, list[Path]]:
    """Return where the report goes, and the files that must stay as they are."""
    test = given["test_data"] or ""
    others = [Path(name) for name in (test, test.rpartition(":")[0]) if name]
    inputs = [*inputs_of(given), *files_of(given), *others]
    return Output.ready(given["output"], given["output_format"], keep=inputs), inputs


def repaired(
    given: dict[str, Any], methods: Sequence[str], checkpoint: Path | None = None
) -> Outcome:
    """Load the network and its data, and repair it.

    Raises:
        NothingToFixError: there is no error of the kind to be fixed.
        DnnRepairError: one of its kinds.
    """
    with working() as progress:
        progress.stage("loading", None)
        from dnnrepair.methods.configured import configured_methods
        from dnnrepair.patching import repair
        from dnnrepair.subject import open_subject

        chosen: list[Method] = configured_methods(methods, given["settings"])
        request = request_of(given)
        subject = open_subject(request)
        return repair(
            subject, goal_of(given), chosen, _options(given, request, checkpoint, progress)
        )


def _options(
    given: dict[str, Any],
    request: Request,
    checkpoint: Path | None,
    progress: Any,  # noqa: ANN401
) -> PatchOptions:
    from dnnrepair.board import PatchOptions
    from dnnrepair.data import open_data

    test = given["test_data"]
    return PatchOptions(
        seed=given["seed"],
        test=None if test is None else open_data(test, request.data_options),
        layers=given["layer"],
        checkpoint=checkpoint,
        progress=progress,
    )


def delivered(report: PatchReport, output: Output) -> Exit:
    """Write the report, and return what it means for the exit code."""
    if os.environ.get("RANK", "0") == "0":
        if output.path is None:
            words.write(drawn(report, output.style))
        else:
            write_whole(output.path, drawn(report, output.style, stored=True))
            words.say(f"report written to {output.path}")
    return Exit.CLEAN if report.accepted else Exit.NOTHING_ACCEPTED
