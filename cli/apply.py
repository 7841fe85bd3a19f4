"""``dnnrepair apply``: put patches on a network."""

from __future__ import annotations

from typing import Any

import click

from dnnrepair.cli.rewrite import rewrite, rewrite_options


@click.command("apply")
@rewrite_options
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Apply patches to a network, in order.

    MODEL is whatever `dnnrepair diagnose` takes; FILE gets the form of MODEL with everything else
    that MODEL holds (a folder for a folder, a state dict for timm:NAME and models:NAME). A patch
    for another network is refused. --arch is needed only where the patch was made with one and
    the file alone does not show the same network.
    """
    return rewrite(given, back=False)
