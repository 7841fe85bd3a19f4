"""A whole repair in every format: harm beside benefit, names from files never raw."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dnnrepair.finding import Finding, Severity
from dnnrepair.formats import names, render
from dnnrepair.patch_report import Stage
from dnnrepair.rate import Rate
from dnnrepair.repair_report import Attempt, Course, RepairPart, RepairReport, Score
from dnnrepair.report import ModelCard
from dnnrepair.verdict import Interval, Verdict

HOSTILE = "conv<script>alert(1)</script>|\x1b[2J"
FOUND = Finding(
    code="ACT001",
    severity=Severity.ERROR,
    layer=HOSTILE,
    message="32 of 32 ReLU units never fire",
    measured=1.0,
    limit=0.5,
)
VERDICT = Verdict(
    part="held-out",
    samples=120,
    targets=Rate(104, 108),
    broken=Rate(1, 12),
    protected=Rate(1, 12),
    others=Rate(0, 0),
    before=Rate(12, 120),
    after=Rate(115, 120),
    gain=Interval(value=0.858, low=0.771, high=0.908),
    cost_before=108.0,
    cost_after=5.0,
)
OLD, NEW = Score(loss=2.303, right=Rate(12, 120)), Score(loss=0.18, right=Rate(115, 120))
ATTEMPTS = (
    Attempt(
        number=1,
        code="ACT001",
        layer=HOSTILE,
        treatment="prelu graft and train",
        before=OLD,
        after=OLD,
        cleared=True,
        reason="its loss does not fall: 2.303 to 2.303",
    ),
    Attempt(
        number=2,
        code="ACT001",
        layer=HOSTILE,
        treatment="train afresh",
        done=("all weights drawn anew",),
        epochs=20,
        before=OLD,
        after=NEW,
        cleared=True,
        kept=True,
        reason="ACT001 is cleared, and its loss falls from 2.303 to 0.18",
    ),
)
REPORT = RepairReport(
    tool_version="0.1.0",
    model=ModelCard(name="net.pt", form="state dict", digest="0" * 16, mode="graph", parameters=9),
    parts=(RepairPart(name="search", samples=359, use="trains"),),
    found=(FOUND,),
    course=Course(attempts=ATTEMPTS, left=(), verdict=VERDICT, before=OLD, after=NEW),
    accepted=True,
    reason="nothing is left to treat",
    files=("fixed.pt",),
    form="state dict",
    stages=(Stage(name="treating", seconds=1.5),),
)
REFUSED = replace(
    REPORT,
    accepted=False,
    files=(),
    course=replace(REPORT.course, attempts=ATTEMPTS[:1], left=(FOUND,), after=OLD),
)


class Tags(HTMLParser):
    """Notes what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_output_does_not_drift(golden: Callable[[str, str], None]) -> None:
    golden("course.txt", render(REPORT, "text"))


def test_every_format_tells_harm_beside_benefit() -> None:
    assert set(names(RepairReport)) == {"html", "json", "markdown", "text"}
    for name in ("html", "markdown", "text"):
        said = " ".join(render(REPORT, name).split())
        assert "104 of 108" in said, name
        assert "1 of 12" in said, name
        assert "prelu graft and train" in said, "what was not kept is told too"
        assert "its loss does not fall" in said


@pytest.mark.parametrize("report", [REPORT, REFUSED, replace(REPORT, baseline=REPORT.course)])
def test_text_fits_into_80_columns_and_is_clean(report: RepairReport) -> None:
    text = render(report, "text")
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert render(report, "text", ascii_only=True).isascii()
    assert ("nothing was written" in text) is not report.accepted


def test_html_stands_alone_and_runs_nothing() -> None:
    page = render(REPORT, "html")
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert not [link for link in tags.links if not link.startswith("#")]
    assert "&lt;script&gt;" in page


def test_markdown_escapes_names() -> None:
    assert "<script>" not in render(REPORT, "markdown")


def test_json_says_all_and_nan_is_null() -> None:
    broken = Score(loss=float("inf"), right=Rate(0, 120))
    report = replace(REPORT, course=replace(REPORT.course, before=broken))
    stored = json.loads(render(report, "json"))
    assert stored["kind"] == "repair"
    assert stored["course"]["before"]["loss"] is None
    assert stored["course"]["attempts"][1]["kept"] is True
    assert stored["course"]["verdict"]["targets"]["share"] == pytest.approx(104 / 108)
    assert stored["found"][0]["fingerprint"] == FOUND.fingerprint


def test_regression_is_told_by_its_loss() -> None:
    course = replace(
        REPORT.course, verdict=None, before=Score(loss=2.0), after=Score(loss=0.5), attempts=()
    )
    text = render(replace(REPORT, course=course), "text")
    assert "loss 2 → 0.5" in text
    assert "accuracy" not in text
