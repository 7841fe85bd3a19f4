"""``dnnrepair revert``: take patches off a network."""

from __future__ import annotations

from typing import Any

import click

from dnnrepair.cli.rewrite import rewrite, rewrite_options


@click.command("revert")
@rewrite_options
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Take patches off a network, exactly.

    Give the patches in the order in which they were applied; the last is taken off first. MODEL
    and the options are as for `dnnrepair apply`.
    """
    return rewrite(given, back=True)
