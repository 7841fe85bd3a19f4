"""``dnnrepair audit``: how a network treats groups of people."""

from __future__ import annotations

from typing import Any

import click

from dnnrepair.cli.auditing import audit_options, audit_request, deliver, inputs_of, ready
from dnnrepair.cli.command import Configured
from dnnrepair.cli.options import debug_option, seed_option
from dnnrepair.cli.progress import working


@click.command("audit", cls=Configured)
@click.argument("model", required=False)
@audit_options
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Measure how MODEL, or a table of predictions, treats groups.

    Each limit passes if the 95 % interval keeps it, fails if the interval lies beyond it, and is
    inconclusive otherwise. Exit codes: 0 all limits are kept, 1 one is not, 2 could not run, 3
    too little data to tell.
    """
    output = ready(given, keep=inputs_of(given))
    with working() as progress:
        from dnnrepair.auditing import audit

        report = audit(audit_request(given, progress))
    return deliver(report, output)
