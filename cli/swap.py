"""``dnnrepair swap``: change a network's structure, and show what that changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.command import Configured
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import debug_option, model_options, seed_option, with_all
from dnnrepair.cli.output import Output, drawn
from dnnrepair.cli.progress import working
from dnnrepair.cli.repairing import STYLES
from dnnrepair.cli.requests import inputs_of, request_of
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.swap_report import SwapReport
    from dnnrepair.swapping.driver import Outcome

_FILE = click.Path(path_type=Path)
_VALUES = (
    ("activation", "OLD=NEW[:WHERE]", "Replace activations; NEW[:WHERE] replaces any."),
    ("norm", "KIND[:WHERE]", "Put a normalization (batch, layer or weight) there, as identity."),
    ("revive", "WHERE", "Re-draw idle units; '*' for those of all layers."),
    ("prune", "WHERE", "Remove idle units."),
    ("desaturate", "WHERE", "Scale saturated tanh and sigmoid units down."),
    ("init", "RULE[:WHERE]", "Draw weights anew: he, xavier, matched, lsuv ..."),
    ("residual-scale", "X[:WHERE]", "Scale residual branches, such as 0.1."),
    ("layer-scale", "X[:WHERE]", "The same, with a learned number for each channel."),
    ("spectral-radius", "X[:WHERE]", "Scale recurrent weights to this radius."),
    ("gated", "KIND[:WHERE]", "Make plain recurrent layers gru or lstm, with fresh weights."),
    ("temperature", "T", "Divide logits by T; auto finds it on the data."),
)
_FLAGS = (
    ("scale-input", "Standardize what the first layer reads, and compensate."),
    ("reestimate-bn", "Estimate running statistics of batch norms on the data."),
    ("remove-softmax", "Remove the softmax or sigmoid at the end."),
)
_OPTIONS = (
    *(
        click.option(f"--{name}", metavar=form, multiple=name != "temperature", help=text)
        for name, form, text in _VALUES
    ),
    *(click.option(f"--{name}", is_flag=True, help=text) for name, text in _FLAGS),
    click.option("--where", metavar="WHERE", help="A layer, a pattern, or a rule such as ACT001."),
    click.option(
        "--plain", is_flag=True, help="Put activations in as they are, fitted to nothing."
    ),
    click.option(
        "--blend", is_flag=True, help="Blend activations in, with a share that starts at 0."
    ),
    click.option("--output", metavar="FILE", type=_FILE, help="The network; MODEL stays."),
    click.option("--dry-run", is_flag=True, help="Measure everything, write no network."),
    click.option("--report", metavar="FILE", type=_FILE, help="Of the report. Default: stdout."),
    click.option("--output-format", type=click.Choice(STYLES), help="Default: by suffix, or text."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return with_all(_OPTIONS, command)


@click.command("swap", cls=Configured)
@click.argument("model")
@_options
@model_options
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Change activations, normalizations and units.

    WHERE is a layer, a pattern such as 'conv*', or the code of a rule whose findings are meant.
    Changes come in a fixed order: outputs, units, recurrent layers, activations, initial weights,
    scales, normalizations, statistics, temperature. Half of the data is what they look at, the
    other half measures. Where only numbers change, FILE gets the form of MODEL; else it is a .pt2,
    or a state dict (.pt, .safetensors) with the network's code in a .py beside it, for plain torch.
    """
    report = _ready(given)
    outcome = _swapped(given)
    found = _written(given, outcome)
    return _delivered(found, report)


def _ready(given: dict[str, Any]) -> Output:
    """Make sure, before anything is loaded, that what is asked for can be written."""
    output, keep = given["output"], inputs_of(given)
    context = click.get_current_context()
    if output is None and not given["dry_run"]:
        message = "name the file to write with --output, or give --dry-run"
        raise click.UsageError(message, context)
    if given["plain"] and given["blend"]:
        message = "--plain and --blend exclude each other"
        raise click.UsageError(message, context)
    if output is not None and not Path(given["model"]).is_dir():
        check_writable(output, keep=keep)
    others = [] if output is None else [output, output.with_suffix(".py")]
    return Output.ready(given["report"], given["output_format"], keep=[*keep, *others])


def _swapped(given: dict[str, Any]) -> Outcome:
    with working() as progress:
        progress.stage("loading", None)
        from dnnrepair.subject import open_subject
        from dnnrepair.swapping.driver import swap
        from dnnrepair.swapping.plan import planned

        asked: dict[str, tuple[str, ...]] = {}
        for name, _, _ in _VALUES:
            value = given[name.replace("-", "_")]
            asked[name] = ((value,) if value else ()) if isinstance(value, str | None) else value
        for name, _ in _FLAGS:
            asked[name] = ("",) * given[name.replace("-", "_")]
        mode = "plain" if given["plain"] else "blend" if given["blend"] else "auto"
        steps = planned(asked, given["where"] or "", mode)
        subject = open_subject(request_of(given))
        return swap(subject, steps, seed=given["seed"], progress=progress)


def _written(given: dict[str, Any], outcome: Outcome) -> SwapReport:
    """Write the network, unless this is only a trial, and name the files in the report."""
    from dnnrepair.swapping.saving import check_form, save_swapped

    output: Path | None = given["output"]
    if output is not None:
        check_form(outcome, output)
    if output is None or given["dry_run"]:
        return outcome.report
    keep = inputs_of(given)
    saved = save_swapped(outcome, output, trust_pickle=given["trust_pickle"], keep=keep)
    files = tuple(str(file) for file in saved.files)
    words.say(f"{saved.form} written to {files[0]}")
    return replace(outcome.report, files=files, form=saved.form)


def _delivered(report: SwapReport, output: Output) -> Exit:
    if output.path is None:
        words.write(drawn(report, output.style))
    else:
        write_whole(output.path, drawn(report, output.style, stored=True))
        words.say(f"report written to {output.path}")
    return Exit.CLEAN
