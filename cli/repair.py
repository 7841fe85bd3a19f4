"""``dnnrepair repair``: diagnose, treat copies, keep what measurably helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.command import Configured
from dnnrepair.cli.diagnose import rules_of
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import debug_option, model_options, seed_option, with_all
from dnnrepair.cli.output import Output, drawn
from dnnrepair.cli.progress import working
from dnnrepair.cli.repairing import STYLES
from dnnrepair.cli.requests import inputs_of, request_of
from dnnrepair.cli.values import names
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.finding import Rule
    from dnnrepair.repair_report import RepairReport
    from dnnrepair.repairing.repair import Repaired

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--test-data", metavar="DATA", help="Judge on these; default: a part of --data."),
    click.option(
        "--seconds",
        metavar="X",
        type=click.FloatRange(0, min_open=True),
        default=600.0,
        show_default=True,
        help="Begin no attempt and no epoch after that.",
    ),
    click.option("--attempts", metavar="N", type=click.IntRange(1), default=20, show_default=True),
    click.option(
        "--baseline",
        type=click.Choice(["random"]),
        help="Also make as many attempts at random, to compare with.",
    ),
    click.option(
        "--select", metavar="RULES", callback=names, multiple=True, help="Codes, families, names."
    ),
    click.option("--ignore", metavar="RULES", callback=names, multiple=True, help="Leave out."),
    click.option("--set", "settings", multiple=True, metavar="CODE.KEY=VALUE", help="A limit."),
    click.option("--output", metavar="FILE", type=_FILE, help="The network; MODEL stays."),
    click.option("--dry-run", is_flag=True, help="Try everything, write no network."),
    click.option("--report", metavar="FILE", type=_FILE, help="Of the report. Default: stdout."),
    click.option("--output-format", type=click.Choice(STYLES), help="Default: by suffix, or text."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return with_all(_OPTIONS, command)


@click.command("repair", cls=Configured)
@click.argument("model")
@_options
@model_options
@seed_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:  # noqa: ANN401 - the options above
    """Diagnose, try treatments, and keep what measurably helps.

    They come in order of cause, and for each cause what puts least at risk comes first: nothing
    trained, trained from there, weights drawn anew. A copy is kept if the finding is gone, no new
    error comes, and the loss falls on data that it was not trained on; another part of the data
    judges in the end. FILE gets the form of MODEL where only numbers changed; else it is a .pt2, or
    a state dict with the network's code beside it, for plain torch. Exit code 4: nothing helped,
    nothing was written.
    """
    report = _ready(given)
    found = _repaired(given, rules_of(ctx, given))
    return _delivered(_written(given, found), report)


def _ready(given: dict[str, Any]) -> Output:
    """Make sure, before anything is loaded, that what is asked for can be written."""
    output, test = given["output"], given["test_data"] or ""
    others = [Path(name) for name in (test, test.rpartition(":")[0]) if name]
    keep = [*inputs_of({**given, "baseline": None}), *others]
    if output is None and not given["dry_run"]:
        message = "name the file to write with --output, or give --dry-run"
        raise click.UsageError(message, click.get_current_context())
    if output is not None and not Path(given["model"]).is_dir():
        check_writable(output, keep=keep)
    made = [] if output is None else [output, output.with_suffix(".py")]
    return Output.ready(given["report"], given["output_format"], keep=[*keep, *made])


def _repaired(given: dict[str, Any], rules: tuple[Rule, ...]) -> Repaired:
    with working() as progress:
        progress.stage("loading", None)
        from dnnrepair.data import open_data
        from dnnrepair.repairing.course import Budget
        from dnnrepair.repairing.repair import RepairOptions, repair
        from dnnrepair.subject import open_subject

        request = request_of(given)
        subject = open_subject(request)
        test = given["test_data"]
        options = RepairOptions(
            seed=given["seed"],
            test=None if test is None else open_data(test, request.data_options),
            budget=Budget(seconds=given["seconds"], attempts=given["attempts"]),
            baseline=given["baseline"] is not None,
            progress=progress,
        )
        return repair(subject, rules, options)


def _written(given: dict[str, Any], found: Repaired) -> RepairReport:
    """Write the network, unless nothing was kept or this is only a trial."""
    from dnnrepair.swapping.saving import save_swapped

    if not found.report.accepted or given["output"] is None or given["dry_run"]:
        return found.report
    keep = inputs_of({**given, "baseline": None})
    saved = save_swapped(
        found.outcome, given["output"], trust_pickle=given["trust_pickle"], keep=keep
    )
    files = tuple(str(file) for file in saved.files)
    words.say(f"{saved.form} written to {files[0]}")
    return replace(found.report, files=files, form=saved.form)


def _delivered(report: RepairReport, output: Output) -> Exit:
    if output.path is None:
        words.write(drawn(report, output.style))
    else:
        write_whole(output.path, drawn(report, output.style, stored=True))
        words.say(f"report written to {output.path}")
    if report.interrupted:
        return Exit.INTERRUPTED
    return Exit.CLEAN if report.accepted else Exit.NOTHING_ACCEPTED
