"""A repair as Markdown for pull-request comments: the outcome first, the rest folded below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.formats.document import tabled
from dnnrepair.formats.markdown import escaped
from dnnrepair.formats.repair import document
from dnnrepair.formats.words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dnnrepair.formats.document import Document, Section, Table
    from dnnrepair.patch_report import PatchReport


def render(report: PatchReport, explanations: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the report as GitHub-flavored Markdown."""
    return written(document(report), goal_first=report.accepted)


def written(said: Document, *, goal_first: bool) -> str:
    """Return a document as GitHub-flavored Markdown; ``goal_first`` or the outcome first."""
    return "\n\n".join(_blocks(said, goal_first=goal_first)) + "\n"


def _blocks(said: Document, *, goal_first: bool) -> Iterator[str]:
    goal = _facts(said.goal)
    outcome = _list(map(escaped, said.verdict))
    yield f"### {SYMBOLS[said.state]} dnnrepair: {escaped(said.headline)}"
    yield from filter(None, (goal, outcome) if goal_first else (outcome, goal))
    if said.figures:
        yield table(tabled(said.figures, "held-out part"))
    for section in said.sections:
        yield from _section(section)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return _list(f"**{name}** {escaped(value)}" for name, value in facts)


def _section(section: Section) -> Iterator[str]:
    yield f"<details><summary>{escaped(section.title)}</summary>"
    if section.lead:
        yield escaped(section.lead)
    if section.facts:
        yield _facts(section.facts)
    if section.table:
        yield table(section.table)
        if section.table.legend:
            known = (f"{SYMBOLS[state]} {meaning}" for state, meaning in section.table.legend)
            yield ", ".join(known)
    if section.items:
        yield _list(map(escaped, section.items))
    yield "</details>"


def table(table: Table) -> str:
    """Return a table as GitHub draws it."""
    stated = any(row.state for row in table.rows)
    heads = [escaped(f"{column.group} {column.name}".strip()) for column in table.columns]
    rule = ["--:" if column.number else "---" for column in table.columns]
    lines = [["", *heads], ["---", *rule]] if stated else [heads, rule]
    for row in table.rows:
        mark = [SYMBOLS.get(row.state, "")] if stated else []
        strong = "**" if row.chosen else ""
        lines.append([*mark, *(f"{strong}{escaped(cell)}{strong}" for cell in row.cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
