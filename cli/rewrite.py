"""What ``dnnrepair apply`` and ``dnnrepair revert`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli import words
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import LARGEST_SEED, arch_option, debug_option, trust_option, with_all
from dnnrepair.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.argument("model"),
    click.argument("patches", metavar="PATCH...", nargs=-1, required=True, type=_FILE),
    click.option("--output", metavar="FILE", type=_FILE, help="What to write; MODEL stays."),
    click.option("--dry-run", is_flag=True, help="Check everything, write nothing."),
    arch_option,
    trust_option,
    click.option(
        "--seed",
        metavar="N",
        type=click.IntRange(0, LARGEST_SEED),
        default=0,
        help="Of models:NAME.",
    ),
    debug_option,
)


def rewrite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take a model, patches, and where to write."""
    return with_all(_OPTIONS, command)


def rewrite(given: dict[str, Any], *, back: bool) -> Exit:
    """Put patches on a model, or take them ``back``, and write it."""
    output, model = given["output"], Path(given["model"])
    _check(output, [model, *given["patches"]], dry=given["dry_run"])
    from dnnrepair.formats.words import counted
    from dnnrepair.patches.rewriting import Source, rewritten

    source = Source(
        model=given["model"],
        arch=given["arch"],
        trust_pickle=given["trust_pickle"],
        seed=given["seed"],
    )
    found = rewritten(source, given["patches"], back=back)
    done = f"{counted(found.numbers, 'number')} in {counted(found.tensors, 'tensor')}"
    digests = f"digest {found.before} became {found.after}"
    if given["dry_run"]:
        words.say(f"{done} would change, {digests}; nothing was written")
    else:
        found.held.write(output)
        words.say(f"{done} changed, {digests}; {found.held.form} written to {output}")
    return Exit.CLEAN


def _check(output: Path | None, inputs: list[Path], *, dry: bool) -> None:
    """Make sure, before anything is loaded, that the output can be written."""
    if output is None:
        if not dry:
            message = "name the file to write with --output, or give --dry-run"
            raise click.UsageError(message, click.get_current_context())
    elif inputs[0].is_dir():
        from dnnrepair.saving.folder import check_folder

        check_folder(output, inputs[0])
    else:
        check_writable(output, keep=inputs)
