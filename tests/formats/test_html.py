import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dnnrepair.finding import Severity
from dnnrepair.formats import render
from dnnrepair.formats.plots import histogram, interesting
from dnnrepair.formats.words import walk
from dnnrepair.report import Histogram, LayerHealth, Report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--enable-logging=stderr",
]


class Nesting(HTMLParser):
    """Checks that what opens also closes, in order."""

    VOID = frozenset({"meta", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(report: Report, explanations: dict[str, str]) -> str:
    return render(report, "html", explanations=explanations)


def test_tags_nest(page: str) -> None:
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []


def test_the_same_report_gives_the_same_bytes(
    report: Report, explanations: dict[str, str], page: str
) -> None:
    assert render(report, "html", explanations=explanations) == page


def test_everything_is_said(report: Report, explanations: dict[str, str], page: str) -> None:
    text = re.sub(r"\s+", " ", page.replace("&#39;", "'"))
    for finding in walk(report.findings):
        assert finding.message in text
    for remedy in report.findings[0].remedies:
        assert remedy.advice in text
    for skip in report.skipped:
        assert skip.reason in text
    assert "<em>never</em> recovers" in text
    assert "<code>zero_fraction</code>" in text
    assert len(explanations) == text.count('<details class="about">')


def test_links_inside_lead_somewhere(page: str) -> None:
    targets = set(re.findall(r' id="([^"]+)"', page))
    for fragment in re.findall(r'href="#([^"]+)"', page):
        assert fragment in targets


def test_plots_speak_the_colors_of_the_page(page: str) -> None:
    plots = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert len(plots) == 6  # four histograms, gradient, spread
    for plot in plots:
        assert "currentColor" in plot
        assert not re.search(r"#0[0a]0[0-9a-b]0\d", plot)
        assert "mathdefault" not in plot
    assert page.count('role="img"') == len(plots)


def luminance(color: str) -> float:
    digits = color * 2 if len(color) == 3 else color
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_has_the_contrast_of_wcag_aa(page: str, scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)[scheme]
    colors = dict(re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", block))
    for name in ("ink", "soft", "link", "healthy", "note", "warning", "error", "unexamined"):
        for ground in ("page", "card", "sunk"):
            lights = sorted((luminance(colors[name]), luminance(colors[ground])))
            assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5, (name, ground)


def test_long_networks_stay_readable(report: Report) -> None:
    filled = Histogram(low=-1, high=1, counts=(1, 2, 1))
    many = tuple(
        LayerHealth(name=f"blocks.{i}.fc", op="linear", gradient=1e-3 + i, activations=filled)
        for i in range(200)
    )
    page = render(replace(report, layers=many), "html")
    assert page.count('class="small card') == 24
    assert page.count('<tr id="layer-') == 200
    assert len(page) < 1_000_000


def test_layers_with_findings_are_drawn_first() -> None:
    marks = [Severity.ERROR if i in (50, 90) else None for i in range(100)]
    layers = [LayerHealth(name=str(i), op="relu", mark=mark) for i, mark in enumerate(marks)]
    chosen = [int(layer.name) for layer in interesting(layers, 10)]
    assert {50, 90} < set(chosen)
    assert chosen == sorted(chosen)
    assert len(chosen) == 10


@pytest.mark.parametrize(
    ("low", "high", "counts"),
    [
        (0, 0, (3,)),
        (0, 1, ()),
        (0, 1, (0, 0)),
        (float("nan"), 1, (1,)),
        (0, float("inf"), (1,)),
        (1.0, 1.0 + 1e-16, (1,)),
        (-1.7e308, 1.7e308, (1,)),
    ],
)
def test_a_degenerate_histogram_is_left_out(
    low: float, high: float, counts: tuple[int, ...]
) -> None:
    found = Histogram(low=low, high=high, counts=counts)
    assert histogram(LayerHealth(name="a", op="b", activations=found)) == ""


def browse(page: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *more, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_shows_it_without_complaint(report: Report, page: str, tmp_path: Path) -> None:
    seen = browse(page, tmp_path, "--dump-dom")
    assert "CONSOLE" not in seen.stderr
    assert "<title>dnnrepair: runs/digits cnn.pt</title>" in seen.stdout
    assert seen.stdout.count('<details class="finding') == len(list(walk(report.findings)))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")
def test_a_browser_prints_it(page: str, tmp_path: Path) -> None:
    browse(page, tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
