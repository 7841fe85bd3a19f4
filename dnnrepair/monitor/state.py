"""What a monitor knows, in a form that a checkpoint can hold and ``weights_only`` loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dnnrepair.errors import DataError
from dnnrepair.evidence.training import LossBlock, Update, Validation
from dnnrepair.finding import Skip
from dnnrepair.monitor.sightings import Sighting

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class State:
    """A monitor between two steps; losses since the last look are not in it.

    Attributes:
        version: of this form.
        step, looks, last_look: how far it has come.
        first: the first losses.
        blocks, validations, updates, labels, highest, first_updates: what was noted.
        sightings: the findings.
        checked: codes of the rules that were applied.
        skips: why others were not, at the last look.
        done: what was done about findings.
    """

    version: int = VERSION
    step: int
    looks: int
    last_look: int
    first: tuple[float, ...]
    blocks: tuple[LossBlock, ...]
    validations: tuple[Validation, ...]
    updates: dict[str, tuple[Update, ...]]
    labels: dict[int, int]
    highest: tuple[float, ...]
    sightings: tuple[Sighting, ...]
    checked: tuple[str, ...]
    skips: tuple[Skip, ...]
    done: tuple[str, ...]
    first_updates: dict[str, float] = field(default_factory=dict)


def packed(state: State) -> dict[str, Any]:
    """Return the state as dictionaries, lists and numbers."""
    from pydantic import TypeAdapter

    found: dict[str, Any] = TypeAdapter(State).dump_python(state, mode="json")
    return found


def unpacked(stored: Any) -> State:  # noqa: ANN401 - whatever the checkpoint held
    """Return the state that :func:`packed` was given.

    Raises:
        DataError: if it is no such state, or of another version.
    """
    from pydantic import TypeAdapter, ValidationError

    version = stored.get("version") if isinstance(stored, dict) else None
    if version != VERSION:
        message = (
            f"this is no state of a monitor of version {VERSION}, but {version!r}; pass what "
            "monitor.state_dict() returned, or start without it"
        )
        raise DataError(message)
    try:
        return TypeAdapter(State).validate_python(stored)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"the monitor's state is damaged at {where!r}: {first['msg']}; start without it"
        raise DataError(message) from None
