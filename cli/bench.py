"""``dnnrepair bench``: the project's own benchmarks, on your machine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import debug_option, seed_option
from dnnrepair.cli.progress import working
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from dnnrepair.bench.result import BenchResult

BENCHES = (
    *("diagnose", "observe", "population", "patch", "repair", "activations", "monitor"),
    "fairness",
)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_SVG = click.Path(path_type=Path)
_PROGRAM = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("bench", context_settings={"auto_envvar_prefix": "DNNREPAIR"})
@click.argument("name", type=click.Choice(BENCHES))
@click.option("--quick", is_flag=True, help="Fewer seeds and cases: under 2 minutes on 2 cores.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text")
@click.option("--data-dir", type=_FOLDER, help="Real data; without it the embedded digits serve.")
@click.option("--peers", is_flag=True, help="diagnose: run the closest existing tools, too.")
@click.option("--peers-python", type=_PROGRAM, help="Interpreter that has those tools.")
@click.option("--cache", type=click.Path(path_type=Path), help="Keep trainings here for later.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--plot", metavar="FILE", type=_SVG, help="activations: draw accuracy, as SVG.")
@seed_option
@debug_option
def command(name: str, output_format: str, plot: Path | None, **given: Any) -> int:  # noqa: ANN401 - see above
    """Measure dnnrepair itself: how right and how fast it is.

    Prints tables and what is required of each figure; exit code 1 if a figure is not met.
    """
    from dnnrepair.bench.result import renderers

    if plot is not None:
        check_writable(plot, keep=())
    result = _measured(name, given)
    words.write(renderers[output_format](result))
    if plot is not None:
        _draw(result, plot)
    return Exit.CLEAN if result.met else Exit.FINDINGS


def _draw(result: BenchResult, path: Path) -> None:
    """Write each plot; those after the first get a number behind the name."""
    if not result.plots:
        words.say(f"{result.name} draws nothing; {path} is not written")
    for place, drawn in enumerate(result.plots):
        target = path if not place else path.with_stem(f"{path.stem}-{place + 1}")
        write_whole(target, drawn)
        words.say(f"plot written to {target}")


def _measured(name: str, given: dict[str, Any]) -> BenchResult:
    from dnnrepair.bench.result import BenchOptions

    with working() as progress:
        run = import_module(f"dnnrepair.bench.{name}").run
        result: BenchResult = run(BenchOptions(**given, progress=progress))
    return result
