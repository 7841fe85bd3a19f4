"""What treatments drawn at random would have come to: the baseline that a diagnosis must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.repairing.treatment import treatments

if TYPE_CHECKING:
    from dnnrepair.repairing.course import Trial
    from dnnrepair.repairing.standing import State


def at_random(trial: Trial, state: State, attempts: int, epochs: int = 0) -> State:
    """Return what a network becomes by treatments drawn at random, each at most once.

    A copy is kept if its loss falls and it brings no new error; no finding is aimed at, and every
    layer is meant. A treatment that is not possible here is drawn again, and does not count.

    Args:
        trial: that notes the attempts; it must be a fresh one.
        state: of the network.
        attempts: how many to make at least, as long as there are treatments left.
        epochs: of training that they are to come to at least, likewise.
    """
    rng = torch.Generator().manual_seed(trial.seed)
    names = list(treatments)
    for place in torch.randperm(len(names), generator=rng).tolist():
        spent = sum(attempt.epochs for attempt in trial.attempts)
        if len(trial.attempts) >= attempts and spent >= epochs:
            break
        state = trial.attempt(state, treatments[names[place]](), "")
    return state
