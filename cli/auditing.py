"""What ``dnnrepair audit`` and ``dnnrepair debias`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import LOSSES, arch_option, trust_option, with_all
from dnnrepair.cli.output import Output, drawn
from dnnrepair.cli.values import named_numbers, named_texts, names, share
from dnnrepair.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dnnrepair.auditing import AuditRequest
    from dnnrepair.fairness_report import FairnessReport
    from dnnrepair.progress import Progress

STYLES = ("text", "json", "markdown", "html")
_FILE = click.Path(path_type=Path)
_TABLE = (
    click.option("--data", metavar="TABLE", help="CSV, Parquet, or NPZ with X, y and s_NAME."),
    click.option("--predictions", metavar="TABLE", help="With a column score or pred; no MODEL."),
    click.option("--id", "identity", metavar="NAME", help="Column that joins the two tables."),
    click.option("--label", metavar="NAME", default="label", show_default=True),
    click.option("--positive", metavar="VALUE", help="Favorable value of the label."),
    click.option("--sensitive", metavar="A,B", callback=names, multiple=True, help="Groups by."),
    click.option(
        "--reference",
        metavar="A=LEVEL",
        callback=named_texts,
        multiple=True,
        help="Group that others are compared with. Default: the largest.",
    ),
    click.option(
        "--bins",
        metavar="A=25,60",
        callback=named_numbers,
        multiple=True,
        help="Group a number by these limits.",
    ),
    click.option(
        "--missing-sensitive",
        type=click.Choice(["error", "group", "drop"]),
        default="error",
        show_default=True,
        help="What becomes of rows without a group.",
    ),
    click.option(
        "--merge-small", metavar="N", type=click.IntRange(1), help="Merge smaller groups as OTHER."
    ),
    click.option("--weight", metavar="NAME", help="Column that says what each row counts."),
    click.option("--threshold", metavar="X", callback=share, default="0.5", show_default=True),
)
_NETWORK = (
    click.option("--preprocess", metavar="WHAT", help="TOML, or module:function of a DataFrame."),
    click.option("--features", metavar="A,B", callback=names, help="Numeric columns that are it."),
    click.option("--classes", metavar="A,B", callback=names, help="In the order of the outputs."),
    arch_option,
    click.option("--task", type=click.Choice(["classify", "regress"]), help="Default: by labels."),
    click.option("--loss", metavar="NAME", type=click.Choice(LOSSES), help="Default: by output."),
    trust_option,
    click.option("--device", metavar="NAME", default="cpu", show_default=True),
    click.option("--batch-size", metavar="N", type=click.IntRange(1), default=1024),
)
_GATES = (
    click.option(
        "--limit", metavar="METRIC=X", multiple=True, help="Such as dp=0.05 or accgap=none."
    ),
    click.option(
        "--gate",
        type=click.Choice(["interval", "point"]),
        default="interval",
        show_default=True,
        help="Judge the interval, or the value alone.",
    ),
    click.option("--inconclusive-ok", is_flag=True, help="Exit with 0 where data are too few."),
    click.option("--min-group", metavar="N", type=click.IntRange(1), default=30, show_default=True),
    click.option("--min-cell", metavar="N", type=click.IntRange(1), default=10, show_default=True),
    click.option("--intersect/--no-intersect", default=True, help="Pairs of attributes, too."),
    click.option("--gate-intersections", is_flag=True, help="Let pairs count for the verdict."),
    click.option("--draws", metavar="N", type=click.IntRange(100), default=2000, show_default=True),
)
_REPORT = (
    click.option("--output-format", type=click.Choice(STYLES), help="Default: by suffix, or text."),
    click.option("--output", metavar="FILE", type=_FILE, help="Of the report. Default: stdout."),
)


def audit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take what to measure, on what, against which limits."""
    return with_all((*_TABLE, *_NETWORK, *_GATES, *_REPORT), command)


def inputs_of(given: dict[str, Any]) -> list[Path]:
    """Return the files that must stay as they are."""
    found = (given[name] for name in ("model", "data", "predictions", "preprocess"))
    return [Path(name) for name in found if name]


def ready(given: dict[str, Any], *, keep: Iterable[Path]) -> Output:
    """Return where the report goes."""
    return Output.ready(given["output"], given["output_format"], keep=keep)


def audit_request(given: dict[str, Any], progress: Progress) -> AuditRequest:
    """Return what the options ask.

    Raises:
        SettingError: if a limit is wrong.
    """
    from dnnrepair.auditing import AuditRequest
    from dnnrepair.fairness.columns import Grouping
    from dnnrepair.fairness.gates import Gates, read_limits

    grouping = Grouping(
        sensitive=given["sensitive"],
        reference=given["reference"],
        bins=given["bins"],
        missing=given["missing_sensitive"],
        merge_small=given["merge_small"] or 0,
    )
    gates = Gates(
        limits=read_limits(given["limit"]),
        by=given["gate"],
        min_group=given["min_group"],
        min_cell=given["min_cell"],
        inconclusive_ok=given["inconclusive_ok"],
    )
    same = (
        *("model", "data", "predictions", "label", "positive", "classes", "threshold", "task"),
        *("weight", "identity", "preprocess", "features", "arch", "loss", "trust_pickle"),
        *("device", "batch_size", "intersect", "gate_intersections", "draws", "seed"),
    )
    chosen = {name: given[name] for name in same}
    return AuditRequest(**chosen, grouping=grouping, gates=gates, progress=progress)


def deliver(report: FairnessReport, output: Output) -> int:
    """Write the report, and return what it means for the exit code."""
    if output.path is None:
        words.write(drawn(report, output.style))
    else:
        write_whole(output.path, drawn(report, output.style, stored=True))
        words.say(f"report written to {output.path}")
    return report.outcome.exit_code
