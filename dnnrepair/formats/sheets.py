"""A patch's sheet as a table for a terminal, or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from dnnrepair.formats.terminal import drawn, facts_grid
from dnnrepair.formats.words import amount, clean, counted
from dnnrepair.plain import plain
from dnnrepair.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from dnnrepair.patches.sheet import Changed, Sheet

SCHEMA_VERSION = 1
_LONGEST = 60  # characters of a setting's value


def as_json(sheet: Sheet) -> str:
    """Return a patch's sheet as JSON; what is not finite is null."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **plain(asdict(sheet))}, indent=2) + "\n"


def as_text(sheet: Sheet, *, width: int = 80, color: bool = False, ascii_only: bool = False) -> str:
    """Return a patch's sheet as a table; names come from files nobody checked and are cleaned.

    Args:
        sheet: what to draw.
        width: columns of the terminal.
        color: use terminal colors.
        ascii_only: for an output that cannot show Unicode.
    """
    return drawn(_parts(sheet), width=width, color=color, ascii_only=ascii_only)


def outcome(verdict: Mapping[str, Any]) -> str:
    """Return in words what a patch did to data it never saw, "" if it was never judged.

    >>> outcome({"part": "held-out", "targets": {"hits": 3, "tries": 4}})
    'held-out: 3/4 (75.0 %) targets fixed'
    """
    named = (("targets", "targets fixed"), ("broken", "broken"), ("others", "others fixed"))
    rates = [(_rate(verdict.get(key)), noun) for key, noun in named]
    parts = [f"{rate} {noun}" for rate, noun in rates if rate]
    before, after = _rate(verdict.get("before")), _rate(verdict.get("after"))
    if before and after:
        shares = (amount(rate.value, "share") for rate in (before, after))
        parts.append(f"accuracy {' → '.join(shares)}")
    if not parts:
        return ""
    return clean(f"{str(verdict.get('part', 'judged'))[:_LONGEST]}: {', '.join(parts)}")


def _parts(sheet: Sheet) -> Iterator[RenderableType]:
    yield facts_grid((name, clean(value)) for name, value in _facts(sheet))
    if sheet.changed:
        yield Text()
        yield _table(sheet)
    for changed in sheet.changed:
        if len(changed.numbers) < changed.count:
            yield Text(_rest(changed), style="dim")


def _facts(sheet: Sheet) -> Iterator[tuple[str, str]]:
    yield "Patch", sheet.name
    tensors = counted(len(sheet.changed), "tensor")
    yield "Changes", f"{counted(sheet.count, 'number')} in {tensors}"
    settings = ", ".join(f"{k} {_setting(v)}" for k, v in sheet.settings.items())
    method = ", ".join(part for part in (sheet.method, settings, f"seed {sheet.seed}") if part)
    yield "Method", method
    yield "Base", sheet.base
    yield "Result", sheet.result
    yield "Verdict", outcome(sheet.verdict) or "none in this file; see the report that came with it"


def _table(sheet: Sheet) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("layer", overflow="fold")
    table.add_column("weight", overflow="fold")
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for changed in sheet.changed:
        for number in changed.numbers:
            place = f"{changed.parameter}{list(number.index) or ''}"
            table.add_row(
                Text(clean(changed.layer)),
                Text(clean(place)),
                f"{number.before:.6g}",
                Text(f"{number.after:.6g}", style="bold"),
                f"{number.after - number.before:+.3g}",
            )
    return table


def _rest(changed: Changed) -> str:
    left = changed.count - len(changed.numbers)
    return (
        f"… and {left:,} more of {changed.count:,} in {clean(changed.tensor)}; "
        f"norm of its change {amount(changed.norm)}"
    )


def _rate(value: object) -> Rate | None:
    """Return a rate as a patch file holds it, None if it is none."""
    if not isinstance(value, dict):
        return None
    hits, tries = value.get("hits"), value.get("tries")
    if type(hits) is int and type(tries) is int and 0 <= hits <= tries > 0:
        return Rate(hits, tries)
    return None


def _setting(value: object) -> str:
    return f"{value:.4g}" if type(value) is float else str(value)[:_LONGEST]
