"""A fairness report in every format: in order, whole, silent, and told to those who see no plot."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from dnnrepair.formats import names, render
from dnnrepair.formats.fairness.document import document
from dnnrepair.formats.fairness.pictures import pictures
from dnnrepair.formats.stored import schema
from tests.formats.fairness_reports import audit, refused, renamed, repair
from tests.formats.test_hostile import NASTY, parsed
from tests.formats.test_html import BROWSER, Nesting, browse

if TYPE_CHECKING:
    from pathlib import Path

ALL = {"audit": audit(), "repair": repair(), "refused": refused()}
ORDER = {
    "audit": [
        "Limits", "What was measured", "Overall", "Groups by sex", "Groups by region",
        "Compared with the reference group", "Groups by sex and region",
        "Gaps by sex and region", "Scores by sex", "Scores by region", "Other metrics",
        "Individuals", "Warnings", "Not measured", "Notes", "Limits of this report",
    ],
    "repair": [
        "Limits", "Limits on group metrics", "What was measured", "Before and after",
        "Seen and unseen rows", "Groups by sex, before and after",
        "Groups by region, before and after", "Groups by sex and region, before and after",
        "Accuracy against fairness", "Beside random trade-offs", "Search", "Scores by sex",
        "Scores by region", "Who changed", "What got worse",
        "Other metrics, before and after", "Patch", "Other methods", "Individuals", "Warnings",
        "Not measured", "Notes", "Limits of this report",
    ],
    "refused": [
        "Limits on group metrics", "What was measured", "Overall", "Groups by sex",
        "Groups by region", "Compared with the reference group", "Groups by sex and region",
        "Search", "Scores by sex", "Scores by region", "Patch", "Other methods", "Individuals",
        "Warnings", "Not measured", "Notes", "Limits of this report",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(report, "html") for name, report in ALL.items()}


def said(page: str) -> str:
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


@pytest.mark.parametrize("name", ALL)
def test_sections_come_in_the_order_of_the_questions(name: str, pages: dict[str, str]) -> None:
    assert [one.title for one in document(ALL[name]).sections] == ORDER[name]
    assert re.findall(r'<h2 id="section-\d+">([^<]*)</h2>', pages[name]) == ORDER[name]
    text = render(ALL[name], "text").splitlines()
    assert [line for line in text if line in ORDER[name]] == ORDER[name]
    folded = re.findall(r"<summary>([^<]*)</summary>", render(ALL[name], "markdown"))
    assert [title.replace("\\-", "-") for title in folded] == ORDER[name]


@pytest.mark.parametrize("name", ALL)
def test_every_table_stands_in_80_columns_and_in_ascii(name: str) -> None:
    assert max(map(len, render(ALL[name], "text").splitlines())) <= 80
    plain = render(ALL[name], "text", ascii_only=True)
    assert plain.isascii()
    assert max(map(len, plain.splitlines())) <= 80
    assert max(map(len, render(ALL[name], "text", width=50).splitlines())) <= 50


@pytest.mark.parametrize("name", ALL)
def test_a_page_is_whole_and_asks_for_nothing(name: str, pages: dict[str, str]) -> None:
    nesting = Nesting()
    nesting.feed(pages[name])
    assert nesting.open == []
    page = parsed(pages[name])
    assert not {"script", "img", "link", "iframe", "form"} & {*page.tags}
    assert "http" not in re.sub(r' xmlns(:xlink)?="[^"]*"', "", pages[name]).split("<body>")[1]
    assert render(ALL[name], "html") == pages[name]


@pytest.mark.parametrize(
    ("name", "captions"),
    [
        ("audit", ["Rates"] * 3 + ["ROC and calibration"] * 2),
        (
            "repair",
            ["Rates"] * 3
            + ["ROC and calibration, after the repair"] * 2
            + ["Pareto front", "Fairea", "Course of the search"],
        ),
        ("refused", ["Rates"] * 3 + ["ROC and calibration"] * 2 + ["Course of the search"]),
    ],
)
def test_every_plot_speaks_the_colors_of_the_page_and_is_told(
    name: str, captions: list[str], pages: dict[str, str]
) -> None:
    found = list(pictures(ALL[name]))
    assert [one.caption for one in found] == captions
    assert pages[name].count("<svg ") == pages[name].count('role="img"') == len(found)
    for one in found:
        assert "currentColor" in one.svg
        assert not re.search(r"#0[0a]0[0-9a-b][01]\d", one.svg)
        assert 'aria-hidden="true"' in one.svg
        assert len(one.words) > 60
        assert unescape(one.words) in unescape(pages[name])


def test_plots_are_told_with_their_numbers() -> None:
    words = {one.caption: one.words for one in pictures(ALL["repair"])}
    group = ALL["repair"].after[0].groups[0]
    assert f"after {group.rate('tpr').value:.3f}" in words["Rates"] or "TPR" in words["Rates"]
    assert "chosen: gap 0.100 and accuracy 0.779 on rows that select" in words["Pareto front"]
    assert "threshold optimizer: gap 0.050, accuracy 0.770" in words["Pareto front"]
    assert words["Fairea"].endswith("gap 0.080 and accuracy 0.775: good")
    assert "0.300 after the first" in words["Course of the search"]
    area = next(c for c in ALL["repair"].after[0].curves if c.level == "Female").auc.value
    assert f"Female: area {area:.3f}" in " ".join(one.words for one in pictures(ALL["repair"]))


def test_small_groups_of_pairs_are_named_and_not_measured() -> None:
    tables = {one.title: one.table for one in document(ALL["audit"]).sections}
    rows = {row.cells[0]: row for row in tables["Groups by sex and region"].rows}  # type: ignore[union-attr]
    for level in ("Other, north", "Other, south"):
        assert rows[level].cells[1] == "< 30"
        assert set(rows[level].cells[2:]) == {"", "-"}
        assert rows[level].state == "unexamined"
    assert rows["Female, north"].cells[1].isdecimal()
    drawn = [one for one in pictures(ALL["audit"]) if one.section == "Groups by sex and region"]
    assert "Female, north" in drawn[0].svg
    assert "Other, north" not in drawn[0].svg + drawn[0].words


def test_a_repair_says_what_it_made_worse_and_what_it_did_not_keep() -> None:
    text = " ".join(render(ALL["repair"], "text").split())
    assert (
        "What got worse Beyond what may be chance: Predictive parity difference: 0.050 → 0.110"
        in text
    )
    assert "✖ F1 ratio at least 0.98 0.9700" in text
    assert "Not leveled down" in text
    assert "it changes weights that read sex" in text
    assert "this repair" in text


def test_equal_choices_are_one_row_with_all_their_budgets() -> None:
    tables = {one.title: one.table for one in document(ALL["repair"]).sections}
    rows = tables["Accuracy against fairness"].rows  # type: ignore[union-attr]
    assert [row.cells[0] for row in rows] == ["-", "0.5"]
    assert [row.chosen for row in rows] == [False, True]


@pytest.mark.parametrize("name", ALL)
def test_json_obeys_its_schema(name: str) -> None:
    stored = json.loads(render(ALL[name], "json"))
    jsonschema.validate(stored, schema("fairness"))
    assert stored["kind"] == "fairness"


NAMED = ("Female", "Male", "Other", "region", "sex", "north", "south", "fc1")
TURNS = range(0, len(NASTY), len(NAMED))  # so that each name is nasty in each way somewhere


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("style", names(type(ALL["audit"])))
def test_names_from_files_do_no_harm(turn: int, style: str) -> None:
    texts = [NASTY[(turn + place) % len(NASTY)] for place in range(len(NAMED))]
    changed = {name: f"{place}{texts[place]}" for place, name in enumerate(NAMED)}
    drawn = render(renamed(ALL["repair"], changed, texts[0]), style)
    if style == "json":
        jsonschema.validate(json.loads(drawn), schema("fairness"))
        return
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", drawn)
    if style == "html":
        page = parsed(drawn)
        assert not {"script", "img"} & {*page.tags}
        nesting = Nesting()
        nesting.feed(drawn)
        assert nesting.open == []
        assert page.tags.count("svg") == 8
    elif style == "markdown":
        assert "<script" not in drawn
    else:
        assert max(map(len, drawn.splitlines())) <= 80


def layout(page: str, folder: Path, *more: str) -> Any:
    """Lay a page out in a browser, and return what a script finds there."""
    probe = """<script>addEventListener("load", () => {
      const wide = [...document.querySelectorAll("body *")].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .skip, svg"));
      const ink = getComputedStyle(document.body);
      document.title = JSON.stringify({wide: wide.map(e => e.outerHTML.slice(0, 90)),
        scroll: document.documentElement.scrollWidth - innerWidth, page: ink.backgroundColor,
        ink: ink.color, flat: [...document.querySelectorAll("figure svg")].map(
          e => e.getBoundingClientRect()).filter(e => e.height < 40 || e.width < 200).length,
      })})</script>"""
    open_page = re.sub(r"<meta http-equiv=[^>]*>", "", page).replace("</head>", f"{probe}</head>")
    seen = browse(open_page, folder, "--dump-dom", *more)
    assert "CONSOLE" not in seen.stderr, seen.stderr
    found = re.search(r"<title>(.*?)</title>", seen.stdout, re.DOTALL)
    assert found
    return json.loads(unescape(found[1]))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
@pytest.mark.parametrize("name", ["audit", "repair"])
def test_a_browser_lays_it_out_without_overflow(
    name: str, pages: dict[str, str], tmp_path: Path
) -> None:
    wide = layout(pages[name], tmp_path, "--window-size=1100,900")
    narrow = layout(pages[name], tmp_path, "--window-size=500,900")
    for found in (wide, narrow):
        assert found["wide"] == []
        assert found["scroll"] <= 0
        assert found["flat"] == 0


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_hostile_names_break_no_layout(tmp_path: Path) -> None:
    long = "<b>" + "W" * 120
    page = render(renamed(ALL["repair"], {"Female": long, "sex": "s" * 60}, long), "html")
    found = layout(page, tmp_path, "--window-size=800,900")
    assert found["wide"] == []
    assert found["scroll"] <= 0


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_shows_it_in_the_dark(pages: dict[str, str], tmp_path: Path) -> None:
    light = layout(pages["repair"], tmp_path)
    dark = layout(pages["repair"], tmp_path, "--blink-settings=preferredColorScheme=0")
    assert (light["page"], dark["page"]) == ("rgb(246, 247, 249)", "rgb(18, 22, 28)")
    assert light["ink"] != dark["ink"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_shows_and_prints_it_without_complaint(
    pages: dict[str, str], tmp_path: Path
) -> None:
    seen = browse(pages["repair"], tmp_path, "--dump-dom")
    assert "CONSOLE" not in seen.stderr
    browse(pages["repair"], tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
