"""Which form of an activation takes the place of another, and what that owes to the function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnnrepair.activations import Graft, exact, find, fit, wrapped
from dnnrepair.activations.approximating import approximate, composite
from dnnrepair.activations.limits import limit
from dnnrepair.activations.rectifiers import slope_below
from dnnrepair.errors import DataError, SettingError
from dnnrepair.settings import nearest
from dnnrepair.swap_report import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from dnnrepair.activations import Activation

MODES = ("auto", "plain", "blend", "limit")
_FITTED = {"polynomial": {"degree": "7", "norm": "least-squares"}, "pann": {"precision": "9"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What comes in place of one activation.

    Attributes:
        graft: the new activation, and how it is put in.
        promise: what that owes to the function.
        words: how it was chosen.
    """

    graft: Graft
    promise: Promise
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """Chooses the form of one new activation, place by place.

    Attributes:
        new: its name.
        mode: one of :data:`MODES`.
        settings: that it must have, as the user wrote them; of polynomials ``degree`` and ``norm``,
            of PANN ``precision``.
        sharpness: of the mode ``limit``.
    """

    new: str
    mode: str = "auto"
    settings: Mapping[str, str]
    sharpness: float = 20.0

    def activation(self) -> Activation:
        """Return the new activation as it is before it is fitted to anything.

        Raises:
            UnknownNameError: there is none of that name; the nearest is suggested.
            SettingError: it has no such setting or mode.
        """
        if self.mode not in MODES:
            message = f"activations are swapped in the modes {', '.join(MODES)}, not {self.mode!r}"
            raise SettingError(message)
        name = find(self.new).name
        if not self._approximates(name):
            return find(name, **self.settings)
        for key in self.settings:
            if key not in _FITTED[name]:
                message = f"{name} has no setting {key!r} here; {nearest(key, _FITTED[name])}"
                raise SettingError(message)
        return find(name)

    def choose(
        self, layer: str, old: Callable[[], Activation], seen: Callable[[], Tensor | None]
    ) -> Choice:
        """Return what takes the place of an activation.

        Args:
            layer: where, for messages.
            old: returns the one that goes; it is only asked where that matters.
            seen: returns what it reads on the data, None without data.

        Raises:
            SettingError: it cannot take that place.
            DataError: it is fitted to data, and there are none.
        """
        new = self.activation()
        if self.mode == "blend":
            words = "its share is 0 until training raises it"
            return Choice(graft=Graft(activation=new), promise=Promise.EXACT, words=words)
        if self.mode == "plain" and not self.settings.keys() & _FITTED.get(new.name, {}).keys():
            return Choice(
                graft=Graft(activation=new), promise=Promise.CHANGES, words="put in as it is"
            )
        if self.mode == "limit":
            return self._limit(layer, old(), new)
        if self._approximates(new.name):
            return self._approximated(layer, old(), new, self._data(old(), new, seen))
        graft = self._exact(old(), new)
        if graft is not None:
            words = parameters_of(graft.activation)
            return Choice(graft=graft, promise=Promise.EXACT, words=words)
        if new.inputs != 1:
            message = f"{layer}: no {new.name} equals {old().name}, and none can be fitted to it"
            raise SettingError(message)
        found = fit(old(), new, self._data(old(), new, seen))
        words = f"{found.relative:.2g} of a deviation off, on the layer's own inputs"
        graft = Graft(activation=wrapped(new, found.wrap))
        return Choice(graft=graft, promise=Promise.CLOSEST, words=words)

    def _approximates(self, name: str) -> bool:
        return name in _FITTED and self.mode == "auto"

    def _exact(self, old: Activation, new: Activation) -> Graft | None:
        """Return the exact graft with the settings that were asked for, None if there is none."""
        graft = exact(old, new.name)
        if graft is None:
            return None
        free = {key: new.settings[key] for key in self.settings if key in new.neutral}
        made = graft.activation.with_settings(**free)
        suits = all(made.settings.get(key) == new.settings[key] for key in self.settings)
        return replace(graft, activation=made) if suits else None

    def _data(self, old: Activation, new: Activation, seen: Callable[[], Tensor | None]) -> Tensor:
        found = seen()
        if found is None:
            message = (
                f"no {new.name} equals {old.name}, and the nearest is found on what the layer "
                "reads: give data with --data, or take --plain"
            )
            raise DataError(message)
        return found

    def _limit(self, layer: str, old: Activation, new: Activation) -> Choice:
        if self.settings:
            message = (
                f"--limit chooses the settings of {new.name}; leave {', '.join(self.settings)}"
            )
            raise SettingError(message)
        found = limit(old, new.name, self.sharpness)
        if found is None:
            message = f"{layer}: no {new.name} tends to {old.name}; take it without --limit"
            raise SettingError(message)
        words = f"at sharpness {self.sharpness:g}, off by {found.error:.2g} at most"
        return Choice(graft=found.graft, promise=Promise.CLOSEST, words=words)

    def _approximated(self, layer: str, old: Activation, new: Activation, z: Tensor) -> Choice:
        given = _FITTED[new.name] | dict(self.settings)
        if new.name == "pann":
            if slope_below(old) != 0:
                message = (
                    f"{layer}: pann takes the place of relu, not of {old.name}; take polynomial"
                )
                raise SettingError(message)
            found = composite(z, precision=_whole("precision", given["precision"]))
            kind = f"precision {given['precision']}"
        else:
            degree = _whole("degree", given["degree"])
            found = approximate(old, z, degree=degree, norm=given["norm"])
            kind = f"degree {degree}, {given['norm']}"
        low, high = found.activation.domain
        words = (
            f"{kind}, on [{low:.3g}, {high:.3g}], 1.2 times what the layer reads: off by "
            f"{found.error:.2g} in the mean, {found.largest:.2g} at most"
        )
        graft = Graft(activation=found.activation)
        return Choice(graft=graft, promise=Promise.CLOSEST, words=words)


def parameters_of(activation: Activation) -> str:
    """Return the numbers that an activation starts with, in words; "" if it has none."""
    said = ", ".join(
        f"{name} {value:.4g}"
        for name, value in activation.settings.items()
        if isinstance(value, float)
    )
    return f"with {said}" if said else ""


def _whole(name: str, text: str) -> int:
    if not text.strip().isdecimal():
        message = f"{name} takes a whole number, not {text!r}"
        raise SettingError(message)
    return int(text)
