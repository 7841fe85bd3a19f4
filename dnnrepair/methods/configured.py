"""Methods by name, with the settings that a user has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError
from dnnrepair.methods.method import methods
from dnnrepair.settings import configured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.methods.method import Method


def configured_methods(names: Sequence[str], settings: Sequence[str] = ()) -> list[Method]:
    """Return methods, ready to work.

    Args:
        names: of the methods.
        settings: ``arachne.alphas=1,10`` each; of methods that are not among them they are refused.

    Raises:
        UnknownNameError: if no method is called so; the nearest is named.
        SettingError: if a method has no such setting, or it takes no such value.
    """
    changes: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in settings:
        place, equals, value = text.partition("=")
        name, dot, field = place.strip().rpartition(".")
        if not (equals and dot and field and value.strip()):
            message = f"--set takes METHOD.key=value, such as arachne.alphas=1,10, not {text!r}"
            raise SettingError(message)
        if name not in changes:
            message = f"--set {text}: {name} is not used here; used: {', '.join(names)}"
            raise SettingError(message)
        changes[name][field] = value.strip()
    return [configured(methods[name], changes[name], name) for name in names]
