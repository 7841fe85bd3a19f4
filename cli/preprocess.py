"""``dnnrepair preprocess``: fit how a table becomes the input of a network, and save it."""

from __future__ import annotations

from pathlib import Path

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option
from dnnrepair.cli.values import names
from dnnrepair.files import check_writable, write_whole

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("preprocess")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--label", metavar="NAME", required=True, help="Column that is no input.")
@click.option("--features", metavar="A,B", callback=names, help="Columns to use. Default: all.")
@click.option("--leave", metavar="A,B", callback=names, help="Further columns that are no input.")
@click.option("--output", metavar="FILE", type=_FILE, help="TOML file. Default: stdout.")
@debug_option
def command(
    data: Path,
    label: str,
    features: tuple[str, ...],
    leave: tuple[str, ...],
    output: Path | None,
) -> int:
    """Fit a preprocessing to the training table DATA.

    Numbers become (value - mean) / std, text becomes a block with a 1 for its level. The TOML file
    can be read, edited and given to audit with --preprocess.
    """
    from dnnrepair.data.preprocessing import fit_preprocessing
    from dnnrepair.data.preprocessing_file import as_toml
    from dnnrepair.frames import read_frame

    if output is not None:
        check_writable(output, keep=[data])
    found = fit_preprocessing(read_frame(data), str(data), features=features, leave=(label, *leave))
    if output is None:
        words.write(as_toml(found))
    else:
        write_whole(output, as_toml(found))
        words.say(f"{len(found.columns)} columns become {found.width} inputs; written to {output}")
    return 0
