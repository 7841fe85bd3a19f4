"""A repair as a page: whole, silent, with its trade-off drawn and told."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest

from dnnrepair.formats import render
from tests.formats.repairs import ACCEPTED, COMPARED, EMPTY, REFUSED, costly
from tests.formats.test_hostile import parsed
from tests.formats.test_html import BROWSER, Nesting, browse, luminance

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.patch_report import PatchReport

ALL = {"accepted": ACCEPTED, "compared": costly(COMPARED), "refused": REFUSED, "empty": EMPTY}
PAGES = {name: render(report, "html") for name, report in ALL.items()}


def said(page: str) -> str:
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


@pytest.mark.parametrize("name", ALL)
def test_a_page_is_whole_and_asks_for_nothing(name: str) -> None:
    nesting = Nesting()
    nesting.feed(PAGES[name])
    assert nesting.open == []
    page = parsed(PAGES[name])
    assert not {"script", "img", "link", "iframe", "form"} & {*page.tags}
    assert all(address.startswith("#") for address in page.addresses)
    assert "http" not in re.sub(r' xmlns(:xlink)?="[^"]*"', "", PAGES[name]).split("<body>")[1]


@pytest.mark.parametrize("name", ALL)
def test_links_inside_lead_somewhere_and_names_are_unique(name: str) -> None:
    named = re.findall(r' id="([^"]+)"', PAGES[name])
    assert len(set(named)) == len(named)
    wanted = re.findall(r'(?:href="#|labelledby=")([^"]+)"', PAGES[name])
    assert {*wanted} <= {*named}


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(ACCEPTED, "html") == PAGES["accepted"]


def test_everything_is_said() -> None:
    text = said(PAGES["compared"])
    for point in COMPARED.points:
        assert f"{point.method}: {point.name}" in text
    for phrase in (*COMPARED.skipped, *COMPARED.notes, *COMPARED.settings, COMPARED.reason):
        assert phrase in text
    assert "weight 10, anchor 10 (chosen)" in text


def test_numbers_stand_on_the_right_and_the_chosen_row_is_marked() -> None:
    assert '<td class="right">1,290</td>' in PAGES["accepted"]
    assert PAGES["accepted"].count('<tr class="chosen">') == 1
    assert '<tr class="chosen">' not in PAGES["refused"]


def test_a_refusal_comes_first() -> None:
    text = said(PAGES["refused"])
    assert text.index("No change was accepted, and nothing was written") < text.index("To fix")


def test_the_plot_has_a_line_a_method_and_is_told() -> None:
    (plot,) = re.findall(r"<svg .*?</svg>", PAGES["compared"], flags=re.DOTALL)
    for method in ("arachne", "anchored", "last-layer", "untouched network", "chosen"):
        assert f">{method}</text>" in plot
    assert {*re.findall(r"var\(--([\w-]+)\)", plot)} == {"series-1", "series-2", "series-3"}
    assert not re.search(r"#0[0a]0[0-9a-b][01]\d", plot)
    label = re.search(r'role="img" aria-label="([^"]*)"', PAGES["compared"])
    assert label
    assert "arachne: 3 changes, from 0 % fixed with 0 % broken to 75.0 % fixed" in label[1]
    assert "chosen: anchored weight 10, anchor 10, 67.2 % fixed with 0.88 % broken" in label[1]


def test_nothing_proposed_gives_no_plot() -> None:
    assert "<svg" not in PAGES["empty"]


def test_names_of_methods_cannot_leave_the_plot() -> None:
    odd = '</text></svg><script>x</script>"\N{SNOWMAN}$x^$'
    points = tuple(replace(point, method=odd) for point in ACCEPTED.points)
    page = parsed(render(replace(ACCEPTED, points=points), "html"))
    assert "script" not in page.tags
    assert page.tags.count("svg") == 1


@pytest.mark.parametrize("scheme", [0, 1])
def test_lines_have_the_contrast_of_wcag_graphics(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", PAGES["accepted"], flags=re.DOTALL)[scheme]
    colors = dict(re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", block))
    series = [name for name in colors if name.startswith("series")]
    assert len(series) == 6
    for name in series:
        dark, light = sorted((luminance(colors[name]), luminance(colors["card"])))
        assert (light + 0.05) / (dark + 0.05) >= 3, name


def test_a_comparison_of_many_points_stays_small() -> None:
    many: PatchReport = replace(COMPARED, points=COMPARED.points * 40)
    assert len(render(many, "html")) < 1_000_000


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_shows_it_without_complaint(tmp_path: Path) -> None:
    seen = browse(PAGES["compared"], tmp_path, "--dump-dom")
    assert "CONSOLE" not in seen.stderr
    assert "<title>dnnrepair: runs/fashion cnn.pt</title>" in seen.stdout
