"""Dotted layer names as the rows of a tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dnnrepair.report import LayerHealth

_MOST_LEVELS = 12


@dataclass
class Branch:
    """A module with the modules inside it, in execution order."""

    layer: LayerHealth | None = None
    inside: dict[str, Branch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the drawn tree.

    Attributes:
        label: guides and the last part of the name.
        layer: what is known of it, None for a module that only holds others.
    """

    label: str
    layer: LayerHealth | None


def grown(layers: Iterable[LayerHealth]) -> Branch:
    """Return the tree of the layers."""
    root = Branch()
    for layer in layers:
        here = root
        for part in (layer.name or "(network)").split(".", _MOST_LEVELS):
            here = here.inside.setdefault(part, Branch())
        while here.layer:  # two rows of one name: the later one hangs below the earlier
            here = here.inside.setdefault("", Branch())
        here.layer = layer
    return root


def rows(branch: Branch, guides: str = "", *, top: bool = True) -> Iterator[Row]:
    """Yield the rows of a tree, depth first; a module that holds one other shares its row."""
    last = len(branch.inside) - 1
    for place, (label, inner) in enumerate(branch.inside.items()):
        shown = inner
        while shown.layer is None and len(shown.inside) == 1:
            ((part, shown),) = shown.inside.items()
            label = f"{label}.{part}"  # noqa: PLW2901
        tick, rail = ("", "") if top else ("└ ", "  ") if place == last else ("├ ", "│ ")
        yield Row(guides + tick + label, shown.layer)
        yield from rows(shown, guides + rail, top=False)
