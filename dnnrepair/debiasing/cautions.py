"""What the reader of a repair must know: who was left out, and what the gain may rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.fairness_report import Caution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.debiasing.judging import Judgement
    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.repair import Repaired
    from dnnrepair.fairness_report import PatchCard

_OPTIMISM = 2.0  # times the gap on the rows that select, beyond which the reader is warned


def repair_cautions(
    opened: Opened, found: Repaired, judgement: Judgement, card: PatchCard | None
) -> Iterator[Caution]:
    """Yield what the reader must know of a search and of what it found."""
    name = opened.repair.cohort.attribute
    yield from left_out_groups(opened)
    if opened.shared:
        yield Caution(
            code="SPLIT_OVERLAP",
            message=f"{opened.shared} rows that judge were also among those that repair or select: "
            "the figures are optimistic",
        )
    if found.chosen is None and found.reason.startswith("DEGENERATE"):
        yield Caution(code="DEGENERATE", message=found.reason, attribute=name)
    if judgement.level_down:
        yield Caution(
            code="LEVEL_DOWN",
            message="the gap closed only by taking: no group has a higher true positive rate than "
            "before",
            attribute=name,
        )
    if card is not None and card.sensitive_weights:
        yield Caution(
            code="READS_GROUP",
            message=f"the patch changes weights that read {name} itself, so that what it does to a "
            "decision may depend on the group alone; --layers last leaves them as they are",
            attribute=name,
        )
    if judgement.chosen is not None and found.chosen is not None:
        low, high = found.chosen.gap, judgement.chosen.gap
        if high > _OPTIMISM * max(low, 1e-12):
            yield Caution(
                code="OPTIMISM",
                message=f"the gap is {high:.4f} on rows that nobody saw, {low:.4f} on those that "
                "selected: small groups were fitted by chance",
                attribute=name,
            )


def left_out_groups(opened: Opened) -> Iterator[Caution]:
    """Yield the groups that are too small to be repaired for."""
    for level in opened.excluded:
        yield Caution(
            code="TINY_GROUP",
            message=f"{level}: too few rows of a label to repair for; it was left out of the "
            "objective",
            attribute=opened.repair.cohort.attribute,
            level=level,
        )


def repair_notes(request: DebiasRequest, opened: Opened) -> Iterator[str]:
    """Yield what was done to the rows, a sentence each."""
    sizes = [len(part.cohort) for part in (opened.repair, opened.select, opened.test)]
    yield f"{sizes[0]:,} rows repair, {sizes[1]:,} select, {sizes[2]:,} judge and were read once"
    if len(request.grouping.sensitive) > 1:
        yield f"the repair aims at {request.grouping.sensitive[0]}; the others are measured only"
