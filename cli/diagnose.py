"""``dnnrepair diagnose``: what is wrong with a network."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli.command import RULES, Configured
from dnnrepair.cli.exits import NEVER, Exit
from dnnrepair.cli.options import debug_option, model_options, report_options, seed_option
from dnnrepair.cli.output import Output
from dnnrepair.cli.progress import working
from dnnrepair.cli.requests import inputs_of, request_of
from dnnrepair.cli.values import names

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.finding import Rule
    from dnnrepair.progress import Progress
    from dnnrepair.report import Report
    from dnnrepair.request import Request


@click.command("diagnose", cls=Configured)
@click.argument("model")
@model_options
@click.option(
    "--select", metavar="RULES", callback=names, multiple=True, help="Codes, families or names."
)
@click.option("--ignore", metavar="RULES", callback=names, multiple=True, help="Leave out.")
@click.option("--set", "settings", multiple=True, metavar="CODE.KEY=VALUE", help="Change a limit.")
@report_options
@seed_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:  # noqa: ANN401 - the options above
    """Find what is wrong with a trained network.

    MODEL is a state dict (with --arch), safetensors, TorchScript or .pt2 file, a Hugging Face
    folder, timm:NAME or models:NAME. Without --data, rules that need data are listed as skipped.
    """
    output = Output.ready(given["output"], given["output_format"], keep=inputs_of(given))
    chosen = rules_of(ctx, given)
    known = _baseline(given["baseline"])
    with working() as progress:
        progress.stage("loading", None)
        report = diagnosed(request_of(given), chosen, progress)
    if not speaks():
        return Exit.CLEAN
    return output.deliver(_finished(report, chosen, known), _fail_on(given))


def speaks() -> bool:
    """Tell whether this process reports; of several under ``torchrun`` only the first does."""
    return os.environ.get("RANK", "0") == "0"


def rules_of(ctx: click.Context, given: dict[str, Any]) -> tuple[Rule, ...]:
    """Return the rules to apply; flags outweigh the project's settings."""
    from dnnrepair.selection import choose_rules, find_rule, parse_setting

    limits = {find_rule(code): dict(values) for code, values in ctx.meta[RULES].items()}
    for code, field, value in map(parse_setting, given["settings"]):
        limits.setdefault(find_rule(code), {})[field] = value
    return choose_rules(given["select"], given["ignore"], limits)


def _baseline(path: Path | None) -> Report | None:
    if path is None:
        return None
    from dnnrepair.baseline import read_baseline

    return read_baseline(path)


def diagnosed(request: Request, chosen: tuple[Rule, ...], progress: Progress) -> Report:
    """Load a network and its data and diagnose it."""
    from dnnrepair.diagnose import diagnose
    from dnnrepair.sharding import sharded
    from dnnrepair.subject import open_subject

    with sharded():
        subject = open_subject(request)
        return diagnose(
            subject, chosen, seed=request.seed, batch_size=request.batch_size, progress=progress
        )


def _finished(report: Report, chosen: tuple[Rule, ...], known: Report | None) -> Report:
    from dnnrepair.baseline import without_known
    from dnnrepair.selection import differing

    report = replace(report, settings=differing(chosen))
    return report if known is None else without_known(report, known)


def _fail_on(given: dict[str, Any]) -> str:
    return NEVER if given["exit_zero"] else str(given["fail_on"])
