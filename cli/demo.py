"""``dnnrepair demo``: a complete tour on embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnnrepair.cli import words
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import debug_option, seed_option
from dnnrepair.cli.output import drawn
from dnnrepair.cli.progress import working
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from dnnrepair.progress import Progress
    from dnnrepair.report import Report

MODEL = "models:cnn-bn+dead-units@weak+stale-variance@weak+unused-layer+softmax-twice"
REPORT = Path("dnnrepair-report.html")


@click.command("demo", context_settings={"auto_envvar_prefix": "DNNREPAIR"})
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=REPORT,
    show_default=True,
    help="The HTML report.",
)
@click.option(
    "--census",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write an example for audit and debias instead: made-up people and a network.",
)
@seed_option
@debug_option
def command(output: Path, census: Path | None, seed: int) -> int:
    """Diagnose a small faulty network.

    It is trained on embedded digits, and its faults are planted. With --census, nothing is
    diagnosed: tables of people that were drawn at random, a network trained on some of them, and
    its preprocessing are written, to try audit and debias on.
    """
    if census is not None:
        return _census(census, seed)
    check_writable(output)
    words.say(f"training {MODEL} on the embedded digits, then diagnosing it")
    with working() as progress:
        progress.stage("training", None)
        report = _diagnosis(seed, progress)
    write_whole(output, drawn(report, "html"))
    words.write(drawn(report, "text"))
    words.write(f"The same with plots and explanations: {output.resolve()}")
    return Exit.INTERRUPTED if report.interrupted else Exit.CLEAN


def _census(folder: Path, seed: int) -> int:
    from dnnrepair.cli.census import check_folder, told, write_census

    check_folder(folder)
    words.say("drawing made-up people, and training a network on some of them")
    with working() as progress:
        progress.stage("training", None)
        write_census(folder, seed)
    words.write(told(folder))
    return Exit.CLEAN


def _diagnosis(seed: int, progress: Progress) -> Report:
    from dnnrepair.cli.diagnose import diagnosed
    from dnnrepair.request import Request
    from dnnrepair.selection import choose_rules

    return diagnosed(Request(model=MODEL, seed=seed), choose_rules((), (), {}), progress)
