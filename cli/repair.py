"""``dnnrepair repair``: diagnose, treat copies, keep what measurably helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.changing import changing_options, ready, saved, told
from dnnrepair.cli.command import Configured
from dnnrepair.cli.diagnose import rules_of
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import debug_option, model_options, seed_option, with_all
from dnnrepair.cli.progress import working
from dnnrepair.cli.requests import request_of
from dnnrepair.cli.values import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.finding import Rule
    from dnnrepair.repair_report import RepairReport
    from dnnrepair.repairing.repair import Repaired

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
        "--jobs",
        metavar="N",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Copies to train at a time, if memory allows, each on one thread.",
    ),
    click.option(
        "--train",
        metavar="FUNCTION",
        help="Train copies by package.module:callable; see the README.",
    ),
    click.option(
        "--random-baseline",
        is_flag=True,
        help="Also make as many attempts at random, to compare with.",
    ),
    click.option(
        "--select", metavar="RULES", callback=names, multiple=True, help="Codes, families, names."
    ),
    click.option("--ignore", metavar="RULES", callback=names, multiple=True, help="Leave out."),
    click.option("--set", "settings", multiple=True, metavar="CODE.KEY=VALUE", help="A limit."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return with_all(_OPTIONS, command)


@click.command("repair", cls=Configured)
@click.argument("model")
@_options
@changing_options
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
    a state dict with the network's code beside it, for plain torch. Finished trainings lie in
    FILE.trainings meanwhile: if the run is killed, the same command goes on. Exit code 4: nothing
    helped, nothing was written; 3: nothing was found, on too little data.
    """
    test = given["test_data"] or ""
    output = ready(given, [Path(name) for name in (test, test.rpartition(":")[0]) if name])
    found = _repaired(given, rules_of(ctx, given))
    told(_written(given, found), output)
    return _left(found)


def _repaired(given: dict[str, Any], rules: tuple[Rule, ...]) -> Repaired:
    with working() as progress:
        progress.stage("loading", None)
        from dnnrepair.data import open_data
        from dnnrepair.recover.supplied import training_function
        from dnnrepair.repairing.repair import RepairOptions, repair
        from dnnrepair.repairing.standing import Budget
        from dnnrepair.subject import open_subject

        request = request_of(given)
        test, output, train = given["test_data"], given["output"], given["train"]
        options = RepairOptions(
            seed=given["seed"],
            test=None if test is None else open_data(test, request.data_options),
            budget=Budget(seconds=given["seconds"], attempts=given["attempts"]),
            baseline=given["random_baseline"],
            progress=progress,
            train=None if train is None else training_function(train),
            train_name=train or "",
            folder=None if given["dry_run"] else _beside(output),
            jobs=given["jobs"],
        )
        return repair(open_subject(request), rules, options)


def _beside(output: Path | None) -> Path | None:
    """Return the folder in which trainings are kept until the network is written."""
    return None if output is None else output.with_name(f"{output.name}.trainings")


def _written(given: dict[str, Any], found: Repaired) -> RepairReport:
    """Write the network, unless nothing was kept or this is only a trial."""
    written = saved(given, found.outcome) if found.report.accepted else None
    if written is None:
        return found.report
    files = tuple(str(file) for file in written.files)
    return replace(found.report, files=files, form=written.form)


def _left(found: Repaired) -> Exit:
    """Say what is left of a repair that was cut short; delete what the others leave behind."""
    if found.report.interrupted:
        folder = found.teacher.folder
        if folder is not None and folder.is_dir():
            words.say(f"trainings so far are kept in {folder}; the same command goes on")
        return Exit.INTERRUPTED
    found.teacher.forget()
    return Exit.CLEAN if found.report.accepted else Exit.NOTHING_ACCEPTED
