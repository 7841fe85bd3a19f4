"""How far steps move weights, as the rules on updates look at it."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from dnnrepair.evidence.training import Training
from dnnrepair.observation import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.observation import Observations

RECENT = 5  # looks whose median counts
LEAST = 3  # of them
SHOWN = 6  # weights that are named
TOO_FEW = f"needs steps of the optimizer at {LEAST} looks that move a weight matrix"

_MATRICES = frozenset({Role.WEIGHT, Role.RECURRENT, Role.EMBEDDING})


def typical(seen: Observations, *, least_rate: float = 0.0) -> dict[str, float]:
    """Return the median ratio of the latest updates of each weight matrix, by name.

    Args:
        seen: what was observed.
        least_rate: updates at a lower share of the highest learning rate do not count.
    """
    training = seen.whole(Training)
    found = {}
    for name, updates in (training.updates if training else {}).items():
        info = seen.tensors.get(name)
        if info is None or info.role not in _MATRICES:
            continue
        recent = [u.ratio for u in updates[-RECENT:] if u.rate >= least_rate]
        finite = [ratio for ratio in recent if math.isfinite(ratio)]
        if len(finite) >= LEAST:
            found[name] = median(finite)
    return found


def first_step(seen: Observations) -> dict[str, float]:
    """Return the ratio of the first step of each weight matrix, by name; none after five looks."""
    training = seen.whole(Training)
    found = {}
    for name, ratio in (training.first_updates if training else {}).items():
        info = seen.tensors.get(name)
        looked = len(training.updates.get(name, ())) if training else 0
        if info is not None and info.role in _MATRICES and looked <= RECENT:
            found[name] = ratio
    return found


def named(ratios: Mapping[str, float], *, largest: bool) -> str:
    """Return the most extreme ratios with their names, in words."""
    ordered = sorted(ratios.items(), key=lambda pair: pair[1], reverse=largest)
    more = f", and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(f"{name} {ratio:.2g}" for name, ratio in ordered[:SHOWN]) + more
