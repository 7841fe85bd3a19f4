"""What a report says before it takes a form: sentences, figures and tables in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBERS = ("inputs", "share", "95 % interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number that matters, with what it stands on.

    Attributes:
        name: what is measured.
        count: such as "43 of 64", "" if it is no share.
        value: with its unit.
        interval: where the truth lies with 95 % confidence, "" if unknown.
    """

    name: str
    count: str = ""
    value: str
    interval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        name: at its head.
        group: neighbors of the same group share a second head, "" for none.
        number: it holds numbers, which stand on the right.
    """

    name: str
    group: str = ""
    number: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes:
        cells: one for each column.
        state: a key of :data:`dnnrepair.formats.words.SYMBOLS` that is drawn before it, "" if none.
        chosen: it stands out.
    """

    cells: tuple[str, ...]
    state: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under named columns.

    Attributes:
        columns: at least one.
        rows: at least one.
        legend: what the states of the rows mean here, each with its meaning.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    legend: tuple[tuple[str, str], ...] = ()

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Neighbors of the same group, with how many they are; each column of no group alone."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if column.group and found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return tuple(found)


def tabled(figures: Iterable[Figure], title: str) -> Table:
    """Return figures as a table, for formats that can do no better."""
    columns = (Column(name=title, number=False), *(Column(name=name) for name in _NUMBERS))
    rows = ((one.name, one.count, one.value, one.interval) for one in figures)
    return Table(columns=columns, rows=tuple(Row(cells=cells) for cells in rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the report.

    Attributes:
        title: above it.
        lead: what it shows, "" if the title says it.
        facts: names and values, above the table.
        table: its numbers, None if it has none.
        items: its sentences, one a line, below the table.
        plotted: the plot of the trade-off belongs here, where plots can be shown.
    """

    title: str
    lead: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    table: Table | None = None
    items: tuple[str, ...] = ()
    plotted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole report.

    Attributes:
        title: what it is about.
        state: a key of :data:`dnnrepair.formats.words.SYMBOLS`.
        headline: the outcome in a few words.
        goal: names and values, what was to be fixed and kept.
        verdict: the outcome, a sentence each, the most important first.
        figures: the numbers behind it.
        sections: all else, in order.
    """

    title: str
    state: str
    headline: str
    goal: tuple[tuple[str, str], ...]
    verdict: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    sections: tuple[Section, ...] = ()
