"""What a repair needs before it can begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.errors import DataError, ModelError, NothingToFixError, TooLittleDataError
from dnnrepair.observation import Task
from dnnrepair.swapping.graphs import check_graph

if TYPE_CHECKING:
    from dnnrepair.repairing.parts import Parts
    from dnnrepair.repairing.standing import State
    from dnnrepair.subject import Subject


def check_found(first: State, parts: Parts) -> None:
    """Make sure that there is something to treat.

    Raises:
        NothingToFixError: there is not.
        TooLittleDataError: there is not, but on so few samples that this says little.
    """
    if first.roots:
        return
    message = (
        f"no error and no warning in {first.subject.facts.model} on {parts.seen.size:,} samples"
    )
    if first.inconclusive:
        message = f"{message}, which is no proof of health: {first.inconclusive}"
        raise TooLittleDataError(message)
    raise NothingToFixError(message)


def check_subject(subject: Subject) -> None:
    """Make sure that there is what a repair needs.

    Raises:
        DataError: there are no data, or no labels.
        ModelError: only weights are known, or the network is no graph.
    """
    if subject.samples is None or not subject.samples.labeled:
        what = (
            "there are no data"
            if subject.samples is None
            else (f"{subject.samples.name} has no labels")
        )
        message = (
            f"{what}: what a treatment is worth cannot be told from weights alone, and nothing is "
            "kept on them; give labeled data with --data (and --arch for a state dict)"
        )
        raise DataError(message)
    if subject.facts.task is Task.GENERATE:
        message = "a generator has no labels to be judged by; repair works on other networks"
        raise ModelError(message)
    check_graph(subject)
