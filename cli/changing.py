"""What ``dnnrepair swap`` and ``dnnrepair repair`` have in common: they write changed networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import with_all
from dnnrepair.cli.output import Output, drawn
from dnnrepair.cli.repairing import STYLES
from dnnrepair.cli.requests import inputs_of
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnnrepair.repair_report import RepairReport
    from dnnrepair.swap_report import SwapReport
    from dnnrepair.swapping.driver import Outcome
    from dnnrepair.swapping.saving import Saved

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--output", metavar="FILE", type=_FILE, help="The network; MODEL stays."),
    click.option("--dry-run", is_flag=True, help="Measure everything, write no network."),
    click.option("--report", metavar="FILE", type=_FILE, help="Of the report. Default: stdout."),
    click.option("--output-format", type=click.Choice(STYLES), help="Default: by suffix, or text."),
)


def changing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take where the changed network and the report go."""
    return with_all(_OPTIONS, command)


def ready(given: dict[str, Any], others: Sequence[Path] = ()) -> Output:
    """Return where the report goes, after making sure that all can be written without loss.

    Args:
        given: the options.
        others: inputs beside the usual ones, which must stay as they are.

    Raises:
        UsageError: nothing says where the network goes.
        OutputError: a file cannot be written, or is an input.
    """
    output, keep = given["output"], [*inputs_of(given), *others]
    if output is None and not given["dry_run"]:
        message = "name the file to write with --output, or give --dry-run"
        raise click.UsageError(message, click.get_current_context())
    if output is not None and not Path(given["model"]).is_dir():
        check_writable(output, keep=keep)
    made = [] if output is None else [output, output.with_suffix(".py")]
    return Output.ready(given["report"], given["output_format"], keep=[*keep, *made])


def saved(given: dict[str, Any], outcome: Outcome) -> Saved | None:
    """Write a network, and say where it is; None if this is only a trial.

    Raises:
        SettingError: the form that the name asks for cannot hold it.
        OutputError: a file cannot be written.
    """
    from dnnrepair.swapping.saving import check_form, save_swapped

    output: Path | None = given["output"]
    if output is not None:
        check_form(outcome, output)
    if output is None or given["dry_run"]:
        return None
    keep = inputs_of(given)
    found = save_swapped(outcome, output, trust_pickle=given["trust_pickle"], keep=keep)
    words.say(f"{found.form} written to {found.files[0]}")
    return found


def told(report: SwapReport | RepairReport, output: Output) -> None:
    """Write the report."""
    if output.path is None:
        words.write(drawn(report, output.style))
    else:
        write_whole(output.path, drawn(report, output.style, stored=True))
        words.say(f"report written to {output.path}")
