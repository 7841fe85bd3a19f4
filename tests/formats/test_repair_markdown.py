"""A repair as a comment on a pull request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from dnnrepair.formats import render
from tests.formats.repairs import ACCEPTED, CLASSES, COMPARED, PARTS, REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable


def parsed(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_the_output_does_not_drift(golden: Callable[[str, str], None]) -> None:
    golden("repair_markdown.txt", render(COMPARED, "markdown"))


def test_a_parser_sees_every_row() -> None:
    page = parsed(render(ACCEPTED, "markdown"))
    assert page.count("<table>") == 4
    figures = 6
    assert page.count("<tr>") == 4 + figures + len(CLASSES) + len(ACCEPTED.points) + len(PARTS)
    assert page.count("<details>") == page.count("</details>") == 5


def test_the_chosen_change_stands_out() -> None:
    page = parsed(render(ACCEPTED, "markdown"))
    assert "<strong>anchored: weight 10, anchor 10</strong>" in page


def test_a_refusal_comes_first() -> None:
    text = render(REFUSED, "markdown")
    assert text.startswith("### ✖ dnnrepair: No change was accepted, and nothing was written\n")
    assert text.index("Reason:") < text.index("**To fix**")


def test_hostile_text_stays_text() -> None:
    hostile = "a|b <script>x</script> [l](http://e) ![i](http://e) `c` @all #1"
    points = tuple(replace(point, name=hostile, reason=hostile) for point in ACCEPTED.points)
    odd = replace(ACCEPTED, points=points, goal=hostile, skipped=(hostile,), notes=(hostile,))
    page = parsed(render(odd, "markdown"))
    assert page.count("<td>") + page.count("<td style") == parsed(
        render(ACCEPTED, "markdown")
    ).count("<td")
    for tag in ("<script", "<a ", "<img", "<code"):
        assert tag not in page
