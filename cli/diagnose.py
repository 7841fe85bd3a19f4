"""``dnnrepair diagnose``: what is wrong with a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli.command import RULES, Configured
from dnnrepair.cli.exits import NEVER
from dnnrepair.cli.options import debug_option, names, numbers, seed_option, shape
from dnnrepair.cli.output import FORMATS, Output
from dnnrepair.cli.progress import working

if TYPE_CHECKING:
    from dnnrepair.finding import Rule
    from dnnrepair.progress import Progress
    from dnnrepair.report import Report
    from dnnrepair.subject import Request

LOSSES = ("cross_entropy", "nll", "bce", "bce_logits", "mse", "l1", "smooth_l1")
_FILE = click.Path(path_type=Path)


@click.command("diagnose", cls=Configured)
@click.argument("model")
@click.option("--data", metavar="DATA", help="File, folder of images or package.module:callable.")
@click.option("--arch", metavar="FACTORY", help="package.module:Factory for a state dict.")
@click.option(
    "--task", type=click.Choice(["classify", "regress", "generate"]), help="Default: by the labels."
)
@click.option(
    "--loss",
    metavar="NAME",
    type=click.Choice(LOSSES),
    help=f"That training minimized: {', '.join(LOSSES)}. Default: by guess.",
)
@click.option(
    "--select",
    metavar="RULES",
    callback=names,
    multiple=True,
    help="Codes, families (ACT) or names.",
)
@click.option(
    "--ignore", metavar="RULES", callback=names, multiple=True, help="Of rules to leave out."
)
@click.option("--set", "settings", multiple=True, metavar="CODE.KEY=VALUE", help="Change a limit.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", NEVER]),
    default="error",
    show_default=True,
    help="Least severity that gives exit code 1.",
)
@click.option("--exit-zero", is_flag=True, help="The same as --fail-on never.")
@click.option(
    "--baseline",
    metavar="FILE",
    type=_FILE,
    help="Earlier JSON report; only what is new is reported.",
)
@click.option("--output-format", type=click.Choice(FORMATS), help="Default: by suffix, or text.")
@click.option(
    "--output", metavar="FILE", type=_FILE, help="Write the report to this file. Default: stdout."
)
@click.option(
    "--device",
    metavar="NAME",
    default="cpu",
    show_default=True,
    help="Where to run: cpu, cuda, cuda:1.",
)
@click.option("--batch-size", metavar="N", type=click.IntRange(1), default=128, show_default=True)
@click.option("--label", metavar="NAME", help="Column or array that holds the labels.")
@click.option(
    "--features", metavar="A,B", callback=names, help="Columns or arrays that are the input."
)
@click.option("--scale", metavar="A", help="Multiply the input by this, such as 1/255.")
@click.option(
    "--mean", metavar="A,B", callback=numbers, help="Subtract from each channel, after scaling."
)
@click.option(
    "--std", metavar="A,B", callback=numbers, help="Divide each channel by, after subtracting."
)
@click.option(
    "--layout", type=click.Choice(["auto", "NCHW", "NHWC"]), default="auto", show_default=True
)
@click.option(
    "--input-shape",
    metavar="A,B",
    callback=shape,
    help="Of one sample, such as 3,32,32, without data.",
)
@click.option("--probe", type=click.Choice(["gaussian"]), help="Observe synthetic input.")
@click.option("--trust-pickle", is_flag=True, help="Unpickle MODEL even if that runs its code.")
@seed_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:  # noqa: ANN401 - the options above
    """Find what is wrong with a trained network.

    MODEL is a state dict (with --arch), safetensors, TorchScript or .pt2 file, a Hugging Face
    folder, timm:NAME or models:NAME. Without --data, rules that need data are listed as skipped.
    """
    output = Output.ready(given["output"], given["output_format"], keep=_inputs(given))
    chosen = _rules(ctx, given)
    known = _baseline(given["baseline"])
    with working() as progress:
        progress.stage("loading", None)
        report = diagnosed(_request(given), chosen, progress)
    return output.deliver(_finished(report, chosen, known), _fail_on(given))


def _inputs(given: dict[str, Any]) -> list[Path]:
    """Return the files that must stay as they are; ``data.npz:test`` means ``data.npz``."""
    data = given["data"] or ""
    names = [given["model"], data, data.rpartition(":")[0], given["baseline"]]
    return [Path(name) for name in names if name]


def _rules(ctx: click.Context, given: dict[str, Any]) -> tuple[Rule, ...]:
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
    from dnnrepair.sharding import start_shards
    from dnnrepair.subject import open_subject

    start_shards()
    subject = open_subject(request)
    return diagnose(
        subject, chosen, seed=request.seed, batch_size=request.batch_size, progress=progress
    )


def _request(given: dict[str, Any]) -> Request:
    from dnnrepair.data import DataOptions
    from dnnrepair.subject import Request

    data = DataOptions(
        label=given["label"],
        features=given["features"],
        scale=given["scale"],
        mean=given["mean"] or (),
        std=given["std"] or (),
        layout=given["layout"],
    )
    same = ("model", "data", "arch", "task", "loss", "trust_pickle", "input_shape", "probe")
    chosen = {name: given[name] for name in (*same, "device", "batch_size", "seed")}
    return Request(**chosen, data_options=data)


def _finished(report: Report, chosen: tuple[Rule, ...], known: Report | None) -> Report:
    from dnnrepair.baseline import without_known
    from dnnrepair.selection import differing

    report = replace(report, settings=differing(chosen))
    return report if known is None else without_known(report, known)


def _fail_on(given: dict[str, Any]) -> str:
    return NEVER if given["exit_zero"] else str(given["fail_on"])
