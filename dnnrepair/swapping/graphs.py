"""Which networks can be changed: those whose graph says all that they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.errors import ModelError
from dnnrepair.export import FAILED, FOLLOWED

if TYPE_CHECKING:
    from dnnrepair.subject import Subject

_INSTEAD = "write branches that depend on values as torch.where"


def check_graph(subject: Subject) -> None:
    """Refuse a network that is no graph.

    Raises:
        ModelError: it is none, and why.
    """
    if subject.running.mode == "graph":
        return
    why = next((note for note in subject.notes if note.startswith(FAILED)), FAILED)
    message = (
        f"{subject.facts.model} could not be exported as a graph, and only graphs can be changed: "
        f"{why.partition(';')[0]}; {_INSTEAD}"
    )
    raise ModelError(message)


def check_whole(subject: Subject) -> None:
    """Refuse to write out a graph that holds one of several branches only.

    Raises:
        ModelError: the network branches by its data.
    """
    if any(note.startswith(FOLLOWED) for note in subject.notes):
        message = (
            f"{subject.facts.model} decides by its data what to do, and its graph holds only what "
            f"it did on an example; a changed copy would always do that: {_INSTEAD}"
        )
        raise ModelError(message)
