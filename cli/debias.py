"""``dnnrepair debias``: make a network treat groups more alike, and prove what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli.auditing import audit_options, audit_request, deliver, inputs_of, ready
from dnnrepair.cli.command import Configured
from dnnrepair.cli.options import debug_option, seed_option
from dnnrepair.cli.patch import beside
from dnnrepair.cli.progress import working
from dnnrepair.cli.values import names, number, share
from dnnrepair.files import check_writable

if TYPE_CHECKING:
    from dnnrepair.debiasing import Debiased, DebiasRequest
    from dnnrepair.progress import Progress

OBJECTIVES = ("dp", "eopp", "eodds", "aaod", "accgap", "ppv", "flip")
_FILE = click.Path(path_type=Path)


@click.command("debias", cls=Configured)
@click.argument("model")
@click.option("--objective", type=click.Choice(OBJECTIVES), default="eodds", show_default=True)
@click.option("--max-acc-drop", metavar="X", callback=share, default="0.01", show_default=True)
@click.option("--min-f1-ratio", metavar="X", callback=share, default="0.98", show_default=True)
@click.option("--balanced-accuracy", is_flag=True, help="Keep that ratio of it, not of F1.")
@click.option("--no-level-down", metavar="X", callback=share, help="Most any group's TPR may fall.")
@click.option("--selection-band", metavar="X", callback=share, help="Most selection may move.")
@click.option("--test-data", metavar="TABLE", help="Judge on these; default: a quarter of --data.")
@click.option("--allow-overlap", is_flag=True, help="Let rows of --data judge, too.")
@click.option(
    "--layers", metavar="A,B", callback=names, default="auto", show_default=True,
    help="auto, all, last, localized, or names of layers.",
)  # fmt: skip
@click.option("--count", metavar="N", type=click.IntRange(1), help="Of weights to localize.")
@click.option("--max-change", metavar="X", callback=number, help="Of any weight.")
@click.option(
    "--search", type=click.Choice(["descent", "evolution", "both"]), default="descent",
    show_default=True,
)  # fmt: skip
@click.option("--baselines/--no-baselines", default=True, help="Measure other methods, too.")
@click.option("--patch", "target", type=_FILE, metavar="FILE", help="Default: MODEL.patch.")
@audit_options
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Make MODEL treat groups more alike by a patch of weights.

    What is written is a patch file; MODEL stays as it is: see apply, revert and show. Half of the
    rows repair, a quarter chooses among what was found, a quarter judges and is read once. Exit
    codes: 0 the gap narrows and all limits are kept, 3 that may be chance, 4 nothing was accepted
    and no patch written, 2 could not run.
    """
    target = given["target"] or beside(given["model"])
    keep = [*inputs_of(given), *([Path(given["test_data"])] if given["test_data"] else [])]
    output = ready(given, keep=keep)
    check_writable(target, keep=[*keep, *([output.path] if output.path else [])])
    with working() as progress:
        from dnnrepair.debiasing import debias

        found = _written(debias(_request(given, target, progress)), target)
    return deliver(found.report, output)


def _request(given: dict[str, Any], target: Path, progress: Progress) -> DebiasRequest:
    """Return what the options ask.

    Raises:
        SettingError: if one is out of range.
    """
    from dataclasses import fields

    from dnnrepair.debiasing import DebiasRequest
    from dnnrepair.fitness.fairness import Limits

    asked = audit_request(given, progress)
    common = {field.name: getattr(asked, field.name) for field in fields(asked)}
    limits = Limits(
        max_acc_drop=given["max_acc_drop"],
        min_f1_ratio=given["min_f1_ratio"],
        balanced=given["balanced_accuracy"],
        level_down=given["no_level_down"],
        selection_band=given["selection_band"],
    )
    same = ("objective", "test_data", "allow_overlap", "layers", "count", "search", "baselines")
    own = {name: given[name] for name in same}
    return DebiasRequest(**common, **own, limits=limits, bound=given["max_change"], patch=target)


def _written(found: Debiased, target: Path) -> Debiased:
    """Write the patch, if there is one, and name the file in the report."""
    from dataclasses import replace

    if found.patch is None or found.report.patch is None:
        return found
    from dnnrepair.patches.file import write_patch

    write_patch(target, found.patch)
    card = replace(found.report.patch, file=str(target))
    return replace(found, report=replace(found.report, patch=card))
