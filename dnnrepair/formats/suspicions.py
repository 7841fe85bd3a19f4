"""Suspected weights as text for people, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from dnnrepair.formats.words import cleaned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.suspicion import Localization, Suspicion

SCHEMA_VERSION = 1
_COLUMNS = ("layer", "weight", "value", "gradient loss", "forward impact")
_NAMES = 2  # columns of text, which stand on the left; numbers stand on the right


def as_text(found: Localization) -> str:
    """Return a table, one weight a line, and what there is to know of it."""
    return "\n".join(_lines(cleaned(found))) + "\n"


def as_json(found: Localization) -> str:
    """Return a JSON object with ``schema_version``."""
    plain = {"schema_version": SCHEMA_VERSION, **asdict(found)}
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


renderers = {"text": as_text, "json": as_json}


def _lines(found: Localization) -> Iterator[str]:
    count = len(found.suspects)
    yield (
        f"{found.model}: {count} of {found.weights:,} weights suspected ({found.method}), "
        f"by {found.negatives:,} inputs to fix ({found.goal}) and {found.positives:,} right ones"
    )
    yield ""
    rows = [_COLUMNS, *map(_cells, found.suspects)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(w) for cell, w in zip(row[:_NAMES], widths, strict=False)]
        numbers = [c.rjust(w) for c, w in zip(row[_NAMES:], widths[_NAMES:], strict=True)]
        yield "  ".join((*names, *numbers)).rstrip()
    for note in found.notes:
        yield f"note: {note}"


def _cells(one: Suspicion) -> tuple[str, ...]:
    name = one.tensor.removeprefix(f"{one.layer}.")
    numbers = (one.value, one.gradient_loss, one.forward_impact)
    index = ", ".join(map(str, one.index))
    return one.layer or "-", f"{name}[{index}]", *(f"{number:.4g}" for number in numbers)
