"""``dnnrepair bench fairness``: what audits and fairness repairs are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.bench.fairness_audit import audit_rows
from dnnrepair.bench.fairness_repairs import repair_rows
from dnnrepair.bench.result import BenchResult

if TYPE_CHECKING:
    from dnnrepair.bench.result import BenchOptions


def run(options: BenchOptions) -> BenchResult:
    """Measure."""
    tables, figures = audit_rows(options)
    more, required, skipped = repair_rows(options)
    return BenchResult("fairness", (*tables, *more), (*figures, *required), skipped)
