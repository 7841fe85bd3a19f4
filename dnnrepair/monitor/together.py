"""Several processes: the first watches for all, and all do the same about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.sharding import Shards

if TYPE_CHECKING:
    from dnnrepair.errors import DnnRepairError
    from dnnrepair.finding import Finding


def is_reporting() -> bool:
    """Tell whether this process is the one that looks and reports."""
    return Shards.current().rank == 0


def agreed(
    due: tuple[Finding, ...], error: DnnRepairError | None, *, acting: bool
) -> tuple[Finding, ...]:
    """Return what the first process found due, in every process; all must ask together.

    Args:
        due: as this process found it.
        error: that ended the first process's look, to be raised in all.
        acting: something may be done about findings; else processes need not hear of each other.

    Raises:
        DnnRepairError: that error.
    """
    if acting and Shards.current().world > 1:
        from torch import distributed

        sent: list[tuple[tuple[Finding, ...], DnnRepairError | None]] = [(due, error)]
        distributed.broadcast_object_list(sent, src=0)
        due, error = sent[0]
    if error is not None:
        raise error
    return due
