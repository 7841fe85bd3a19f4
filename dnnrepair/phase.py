"""Has this network been trained, or does it still hold its initial weights?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dnnrepair.evidence.initializer import InitializerFit
from dnnrepair.evidence.predictions import Predictions
from dnnrepair.observation import Phase, Role, Task

if TYPE_CHECKING:
    from dnnrepair.observation import Observations

FRESH_SHARE = 0.5  # of weight tensors that must look fresh, beside a loss as by chance
FRESH_SHARE_ALONE = 0.9  # without labels, or with a loss far beyond chance
CHANCE_LOSS = 0.9  # of ln K: a trained network does better than this
WILD_LOSS = 1.5  # of ln K: beyond this a fault of a trained network is as likely
LUCK = 0.05  # by which random features may beat the most frequent class
MIN_SIZE = 64  # smaller tensors are compatible with any distribution


def phase_of(seen: Observations) -> Phase:
    """Return INIT if the loss is as by chance and most weights look freshly drawn."""
    share = _fresh_share(seen)
    predictions = seen.whole(Predictions)
    if predictions is None or not seen.facts.labeled:
        return Phase.INIT if share >= FRESH_SHARE_ALONE else Phase.TRAINED
    if not _as_by_chance(predictions, seen):
        return Phase.TRAINED
    wild = predictions.mean_loss > WILD_LOSS * math.log(max(seen.facts.classes, 2))
    wanted = FRESH_SHARE_ALONE if wild else FRESH_SHARE
    return Phase.INIT if share >= wanted else Phase.TRAINED


def _fresh_share(seen: Observations) -> float:
    """Return the share of weight matrices that look as an initializer draws them."""
    matrices = {Role.WEIGHT, Role.RECURRENT}
    large = [
        fit
        for name, fit in seen.of(InitializerFit).items()
        if seen.tensors[name].role in matrices and math.prod(seen.tensors[name].shape) >= MIN_SIZE
    ]
    return sum(fit.matches for fit in large) / len(large) if large else 0.0


def _as_by_chance(predictions: Predictions, seen: Observations) -> bool:
    facts = seen.facts
    if facts.task is not Task.CLASSIFY:
        return not predictions.r_squared > 0
    classes = max(facts.classes, 2)
    lucky = max(2 / classes, predictions.majority_share + LUCK)
    poor = not predictions.mean_loss < CHANCE_LOSS * math.log(classes)
    return poor and not predictions.accuracy > lucky
