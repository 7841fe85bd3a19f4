"""A fairness report as Markdown for pull-request comments: the verdict first, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.fairness.document import document
from dnnrepair.formats.repair_markdown import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.fairness_report import FairnessReport


def render(report: FairnessReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return written(document(report), goal_first=False)
