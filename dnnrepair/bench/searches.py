"""Whole searches: what differential evolution adds to the evaluation of its candidates."""

from __future__ import annotations

from functools import partial
from time import process_time
from typing import TYPE_CHECKING

import torch

from dnnrepair.bench.timing import Entrant
from dnnrepair.evolve.box import Box, arachne_box
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.start import Normal, arachne_normal
from dnnrepair.evolve.stopping import Stopping

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.bench.workloads import Workload
    from dnnrepair.population import Evaluator

GENERATIONS = 100  # of a search that nobody has to wait for, as in Arachne
_FEWEST = 1


def searching(name: str, workload: Workload, evaluator: Evaluator, values: Tensor) -> Entrant:
    """Return what runs whole searches, and counts the candidates that they evaluate.

    No search ends early and no candidate is abandoned, so that the rate compares with that of the
    evaluator alone.

    Args:
        name: of the entrant.
        workload: whose weights are searched for.
        evaluator: of the workload.
        values: a population ``(P, k)``, evaluated once to see how long a generation takes.
    """
    begin = process_time()
    evaluator(values)
    generations = affordable_generations(process_time() - begin)
    box, start = ground(workload)
    run = partial(
        search,
        Rand1Bin(candidates=len(values)),
        lambda trials: evaluator(trials),  # told no threshold  # noqa: PLW0108
        box,
        (0,),
        start=start,
        stopping=Stopping(generations=generations),
    )

    def work() -> float:
        return float(len(values) * (run().generations[0] + 1))

    return Entrant(name, work, least=1)


def affordable_generations(seconds: float, budget: float = 1.0) -> int:
    """Return how many generations a search has, at most :data:`GENERATIONS` and at least one.

    Args:
        seconds: of CPU that one takes.
        budget: seconds of CPU that a search should take.
    """
    return max(_FEWEST, min(GENERATIONS, int(budget / max(seconds, 1e-9)) - 1))


def ground(workload: Workload, device: torch.device | None = None) -> tuple[Box, Normal]:
    """Return Arachne's box and start for the weights of a workload, on ``device``."""
    tensors = {name: p.detach() for name, p in workload.module.named_parameters()}
    layers = [tensors[name].to(device) for name in workload.recipe.layers]
    own = [workload.recipe.layers.index(place.tensor) for place in workload.places]
    owner = torch.tensor(own, device=device)
    originals = torch.stack([tensors[place.tensor][place.index] for place in workload.places])
    return arachne_box(layers, owner), arachne_normal(layers, owner, original=originals.to(device))
