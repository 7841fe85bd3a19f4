"""What the exit code of a run says."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnnrepair.report import Report

NEVER = "never"


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    CLEAN = 0
    FINDINGS = 1  # at or above --fail-on, or a required figure is missed
    FAILED = 2  # bad usage, bad input or an internal error
    INCONCLUSIVE = 3  # too little data to judge
    NOTHING_ACCEPTED = 4  # no repair beats the untouched network
    INTERRUPTED = 130  # partial results are saved and named


def exit_of(report: Report, fail_on: str) -> Exit:
    """Return the exit code for a report.

    What was found outweighs what could not be judged, because it stands on enough data.

    Args:
        report: the diagnosis.
        fail_on: the least severity that counts as failure, or "never".
    """
    from dnnrepair.finding import Severity

    worst = report.worst()
    if report.interrupted:
        return Exit.INTERRUPTED
    if worst is not None and fail_on != NEVER and worst.rank <= Severity(fail_on).rank:
        return Exit.FINDINGS
    return Exit.INCONCLUSIVE if report.inconclusive else Exit.CLEAN
