"""``dnnrepair localize``: the weights most responsible for what a network gets wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.command import Configured
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.goals import goal_of
from dnnrepair.cli.options import debug_option, fix_options, model_options, seed_option
from dnnrepair.cli.progress import working
from dnnrepair.cli.requests import inputs_of, request_of
from dnnrepair.cli.values import names
from dnnrepair.files import check_writable, write_whole

if TYPE_CHECKING:
    from dnnrepair.localize import LocalizerSettings
    from dnnrepair.suspicion import Localization

METHODS = ("bidirectional", "gradient", "random")


@click.command("localize", cls=Configured)
@click.argument("model")
@model_options
@fix_options
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True)
@click.option("--top", type=click.IntRange(1), metavar="N", help="Default: no other does worse.")
@click.option("--layer", metavar="NAME", callback=names, multiple=True, help="Only these layers.")
@click.option("--all-positives", is_flag=True, help="Set against all inputs that are right.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: stdout.")
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """List the weights most responsible for what goes wrong.

    By default those that no other weight outdoes in both gradient loss and forward impact
    (Arachne's bidirectional localization). MODEL is given as for diagnose.
    """
    if given["output"] is not None:
        check_writable(given["output"], keep=inputs_of(given))
    found = _found(given)
    _deliver(found, given["output_format"], given["output"])
    return Exit.CLEAN


def _found(given: dict[str, Any]) -> Localization:
    from dnnrepair.localizing import localized

    goal, settings = goal_of(given), _settings(given)
    with working() as progress:
        return localized(
            request_of(given), goal, settings, progress, all_positives=given["all_positives"]
        )


def _settings(given: dict[str, Any]) -> LocalizerSettings:
    from dnnrepair.localize import Localizer, LocalizerSettings

    return LocalizerSettings(
        localizer=Localizer(given["method"]),
        count=given["top"],
        layers=given["layer"],
        seed=given["seed"],
        batch_size=given["batch_size"],
    )


def _deliver(found: Localization, style: str, path: Path | None) -> None:
    from dnnrepair.formats.suspicions import renderers

    text = renderers[style](found)
    if path is None:
        words.write(text)
    else:
        write_whole(path, text)
        words.say(f"report written to {path}")
