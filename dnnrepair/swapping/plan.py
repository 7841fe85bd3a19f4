"""From what a user asks for to the operations that do it, in an order that makes sense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import SettingError
from dnnrepair.settings import configured
from dnnrepair.swapping.operation import operations
from dnnrepair.swapping.where import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dnnrepair.swapping.operation import Operation
    from dnnrepair.swapping.operations.fold_input import FoldInput

# What comes first must not undo, or measure before, what comes later.
ORDER = (
    *("remove-softmax", "prune", "revive", "split", "add-units", "desaturate", "gated"),
    *("fractional-pool", "activation", "init", "spectral-radius", "residual-scale"),
    *("layer-scale", "norm", "dropout", "scale-input", "min-max-input", "reestimate-bn"),
    "temperature",
)
_CODE = re.compile(r"[A-Z]{2,3}\d{3}")
_NUMBERS = {
    "residual-scale": "scale",
    "layer-scale": "scale",
    "spectral-radius": "radius",
    "dropout": "share",
    "fractional-pool": "ratio",
}
_NAMES = {"norm": "kind", "gated": "kind", "init": "rule"}
_PLACES = frozenset({"prune", "revive", "desaturate"})  # their value is a place
_COUNTS = frozenset({"split", "add-units"})
_FLAGS = frozenset({"remove-softmax", "scale-input", "min-max-input", "reestimate-bn"})
_FORMS: dict[str, tuple[str, dict[str, Any]]] = {  # of operations, with the settings that they are
    "layer-scale": ("residual-scale", {"per_channel": True}),
    "min-max-input": ("scale-input", {"kind": "min-max"}),
}
_AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation at one place.

    Attributes:
        operation: with its settings.
        place: a layer name or a pattern of names, or the code of a rule whose findings are meant.
        asked: the option as the user wrote it.
    """

    operation: Operation
    place: str
    asked: str

    @property
    def by_rule(self) -> bool:
        """Whether the place is the code of a rule."""
        return _CODE.fullmatch(self.place) is not None


def planned(
    asked: Mapping[str, Sequence[str]],
    place: str = "",
    mode: str = "auto",
    *,
    sharpness: float | None = None,
    fold: FoldInput | None = None,
) -> tuple[Step, ...]:
    """Return the steps that options stand for, in the order of :data:`ORDER`.

    Args:
        asked: values by option, such as ``{"norm": ["batch:conv1"]}``; a flag has one empty value.
        place: where, for values that do not say; everywhere if empty.
        mode: of activations, see ``dnnrepair.swapping.operations.activation``.
        sharpness: of activations in the mode ``limit``.
        fold: the normalization of the input that the network takes over; None for none.

    Raises:
        SettingError: a value has another form, or nothing is asked for.
    """
    more = {"mode": mode} | ({} if sharpness is None else {"sharpness": sharpness})
    steps = tuple(_steps(asked, place or EVERYWHERE, more))
    if fold is not None:
        steps = (*steps, Step(operation=fold, place=EVERYWHERE, asked="--fold-input"))
    if not steps:
        options = ", ".join(f"--{name}" for name in (*ORDER, "fold-input"))
        message = f"nothing is to be changed; ask for something: {options}"
        raise SettingError(message)
    return steps


def _steps(asked: Mapping[str, Sequence[str]], place: str, more: dict[str, Any]) -> Iterable[Step]:
    for name in ORDER:
        for value in asked.get(name, ()):
            text = f"--{name} {value}".strip()
            what, colon, where = value.partition(":")
            if name in _PLACES:
                what, colon, where = "", ":", value
            if colon and not where:
                message = f"{text}: nothing after the colon; name a layer or the code of a rule"
                raise SettingError(message)
            kind, own = _FORMS.get(name, (name, more if name == "activation" else {}))
            settings = _settings(name, what, text) | own
            yield Step(
                operation=configured(operations[kind], settings, f"--{name}"),
                place=where if colon else place,
                asked=text,
            )


def _settings(name: str, what: str, text: str) -> dict[str, Any]:
    if name in _FLAGS or name in _PLACES:
        return {}
    if name == "activation":
        names, _, given = what.partition(",")
        old, equals, new = names.partition("=")
        if not (new if equals else old):
            message = f"{text}: name the new activation, as in --activation relu=prelu"
            raise SettingError(message)
        chosen = {"old": old, "new": new} if equals else {"new": old}
        return chosen | ({"settings": given} if given else {})
    if name in _COUNTS:
        number, _, more = what.partition(",")
        key, equals, value = more.partition("=")
        if more and not equals:
            message = f"{text}: write settings as name=value"
            raise SettingError(message)
        return {"count": number} | ({key: value} if more else {})
    if name == "temperature":
        return {} if what == _AUTO else {"value": _number(what, text)}
    if name in _NAMES:
        return {_NAMES[name]: what}
    return {_NUMBERS[name]: _number(what, text)}


def _number(what: str, text: str) -> float:
    try:
        found = float(what)
    except ValueError:
        found = float("nan")
    if not 0 < found < float("inf"):
        message = f"{text}: {what!r} is not a number above 0"
        raise SettingError(message)
    return found
