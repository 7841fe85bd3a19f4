"""From suspects to what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.suspicion import Localization, Suspicion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.data import ArraySamples
    from dnnrepair.localize.suspects import Suspects
    from dnnrepair.subject import Subject


def described(
    subject: Subject,
    suspects: Suspects,
    negatives: ArraySamples,
    positives: ArraySamples,
    goal: str,
) -> Localization:
    """Return suspects as data: where they stand, their values, and why they are suspected."""
    return Localization(
        model=subject.facts.model,
        data=subject.facts.data,
        goal=goal,
        method=suspects.localizer.value,
        negatives=negatives.size,
        positives=positives.size,
        weights=len(suspects.scores),
        suspects=tuple(_suspicions(subject, suspects)),
        notes=(*subject.notes, *suspects.notes),
    )


def _suspicions(subject: Subject, suspects: Suspects) -> Iterator[Suspicion]:
    scored = zip(suspects.places, suspects.gradient_loss, suspects.forward_impact, strict=True)
    for place, gradient, impact in scored:
        yield Suspicion(
            layer=subject.infos[place.tensor].layer,
            tensor=place.tensor,
            index=place.index,
            value=float(subject.tensors[place.tensor][place.index]),
            gradient_loss=float(gradient),
            forward_impact=float(impact),
        )
