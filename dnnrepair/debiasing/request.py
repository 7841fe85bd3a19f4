"""What a fairness repair is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dnnrepair.auditing.request import AuditRequest
from dnnrepair.fitness.fairness import Limits

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DebiasRequest(AuditRequest):
    """What a fairness repair is asked, as the user named it; the rest as for an audit.

    Attributes:
        objective: one of :data:`dnnrepair.fitness.disparity.OBJECTIVES`, for the first attribute.
        limits: what the repair may cost.
        test_data: table that judges in place of a quarter of the data, None for that.
        allow_overlap: rows that judge may be among those that repair.
        layers: "auto", "all", "last", "localized", or names.
        count: weights to change, where these are localized; None for the first front.
        bound: by which a weight may change at most, None for any.
        search: "descent", "evolution" or "both".
        baselines: measure other methods, too.
        patch: the file that the patch will be written to.
    """

    objective: str = "eodds"
    limits: Limits = field(default_factory=Limits)
    test_data: str | None = None
    allow_overlap: bool = False
    layers: tuple[str, ...] = ("auto",)
    count: int | None = None
    bound: float | None = None
    search: str = "descent"
    baselines: bool = True
    patch: Path | None = None
