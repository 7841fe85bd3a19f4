"""``dnnrepair models``: the reference networks and what can be planted in them."""

from __future__ import annotations

import click

from dnnrepair.cli import words
from dnnrepair.cli.options import debug_option


@click.command("models")
@debug_option
def command() -> int:
    """List the reference networks.

    And the faults that can be planted in them, and harmless look-alikes of faults.

    Give one as MODEL: models:cnn, models:cnn:init (untrained), models:cnn+dead-units,
    models:cnn+dead-units@strong, models:cnn+look:unit-permutation.
    """
    from dnnrepair.models import names
    from dnnrepair.models.faults import faults
    from dnnrepair.models.lookalikes import lookalikes

    planted = [f"  +{name:<28} {', '.join(sorted(faults[name].codes))}" for name in faults]
    alike = [f"  +look:{name}" for name in lookalikes]
    networks = [f"  models:{name}" for name in names()]
    lines = ["Networks", *networks, "Faults, with the rules that find them", *planted]
    words.write("\n".join([*lines, "Look-alikes, in which nothing is wrong", *alike]))
    return 0
