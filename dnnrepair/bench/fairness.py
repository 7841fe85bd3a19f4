"""``dnnrepair bench fairness``: whether audits can be trusted, and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.bench.fairness_audit import audit_rows
from dnnrepair.bench.result import BenchResult

if TYPE_CHECKING:
    from dnnrepair.bench.result import BenchOptions


def run(options: BenchOptions) -> BenchResult:
    """Measure."""
    tables, figures = audit_rows(options)
    return BenchResult("fairness", tables, figures)
