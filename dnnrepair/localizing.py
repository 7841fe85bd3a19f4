"""From a network and its data to the weights that are suspected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.answers import Examination
from dnnrepair.goal import aim
from dnnrepair.localize import contrast, localize
from dnnrepair.localize.found import described
from dnnrepair.splitting import in_memory, whole
from dnnrepair.subject import open_subject

if TYPE_CHECKING:
    from dnnrepair.goal import Goal
    from dnnrepair.localize import LocalizerSettings
    from dnnrepair.progress import Progress
    from dnnrepair.request import Request
    from dnnrepair.suspicion import Localization


def localized(
    request: Request,
    goal: Goal,
    settings: LocalizerSettings,
    progress: Progress,
    *,
    all_positives: bool = False,
) -> Localization:
    """Load a network and its data, and find the weights most responsible for its errors.

    Args:
        request: the network and its data.
        goal: which errors.
        settings: how to look.
        progress: is told what is being done.
        all_positives: set them against all inputs that are right, not against as many.

    Raises:
        DnnRepairError: one of its kinds, with what, where and what to do next.
    """
    progress.stage("loading", None)
    subject = open_subject(request)
    samples = in_memory(subject.samples)
    progress.stage("localizing", None)
    examination = Examination.of(
        subject, samples, tolerance=goal.tolerance, batch_size=request.batch_size
    )
    answers = examination.answers()
    meant = aim(goal, answers, fewest=1)
    part = whole(samples, answers, meant)
    negatives, positives = contrast(part, settings.seed, all_positives=all_positives)
    suspects = localize(subject, negatives, positives, settings)
    progress.finish()
    found = described(subject, suspects, negatives, positives, meant.words)
    return replace(found, notes=(*meant.notes, *found.notes))
