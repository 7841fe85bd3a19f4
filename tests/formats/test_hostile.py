"""Any text in any field: each format stays what it is."""

import json
import unicodedata
from html.parser import HTMLParser

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnnrepair.errors import UnknownNameError
from dnnrepair.finding import Finding, Remedy, Severity, Skip
from dnnrepair.formats import names, render
from dnnrepair.formats.stored import load, schema
from dnnrepair.formats.words import clean, walk
from dnnrepair.patch_report import PartSize, PatchReport, Point, Stage
from dnnrepair.rate import Rate
from dnnrepair.report import Histogram, LayerHealth, ModelCard, Report
from dnnrepair.verdict import ClassChange, Interval, Verdict

NASTY = (
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "a\nb\r\n::error::x",
    "[red]bold[/red]",
    "\x1b[2J\x07\x9b",
    '"><img src=http://e onerror=x>',
    "{{ 7 * 7 }}{% raw %}",
    "$x^$ \\frac",
    "\udc80",
    "|`|",
    "名前\uffff",
    "-->]]>",
    ".." * 40,
)
texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=30))
numbers = st.floats(width=64)
maybe = st.none() | numbers
severities = st.sampled_from(Severity)
remedies = st.builds(Remedy, advice=texts, code=texts, command=texts)


def findings(consequences: st.SearchStrategy[tuple[Finding, ...]]) -> st.SearchStrategy[Finding]:
    return st.builds(
        Finding,
        code=texts,
        severity=severities,
        layer=texts,
        message=texts,
        measured=numbers,
        limit=numbers,
        healthy=texts,
        unit=texts,
        where=st.none() | texts,
        site=texts,
        units=st.lists(st.integers(0, 99), max_size=30).map(tuple),
        evidence=st.lists(texts, max_size=2).map(tuple),
        remedies=st.lists(remedies, max_size=2).map(tuple),
        consequences=consequences,
    )


several = st.lists(findings(st.lists(findings(st.just(())), max_size=1).map(tuple)), max_size=2)
histograms = st.builds(
    Histogram, low=numbers, high=numbers, counts=st.lists(st.integers(0, 9), max_size=4).map(tuple)
)
layers = st.builds(
    LayerHealth,
    name=texts,
    op=texts,
    where=st.none() | texts,
    shape=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    parameters=st.integers(0, 9),
    mark=st.none() | severities,
    examined=st.booleans(),
    codes=st.lists(texts, max_size=2).map(tuple),
    mean=maybe,
    std=maybe,
    gradient=maybe,
    activations=st.none() | histograms,
)
cards = st.builds(
    ModelCard,
    name=texts,
    form=texts,
    digest=texts,
    mode=texts,
    parameters=st.integers(0, 9),
    data=texts,
    task=texts,
    loss=texts,
    phase=texts,
    accuracy=maybe,
    mean_loss=maybe,
    notes=st.lists(texts, max_size=1).map(tuple),
)
reports = st.builds(
    Report,
    tool_version=texts,
    model=cards,
    findings=several.map(tuple),
    skipped=st.lists(st.builds(Skip, code=texts, reason=texts, layer=texts), max_size=2).map(tuple),
    layers=st.lists(layers, max_size=3).map(tuple),
    checked=st.lists(texts, max_size=2).map(tuple),
    settings=st.lists(texts, max_size=1).map(tuple),
    inconclusive=texts,
    interrupted=st.booleans(),
)
counts = st.integers(0, 9)
rates = st.tuples(counts, counts).map(lambda pair: Rate(min(pair), max(pair)))
changes = st.builds(
    ClassChange,
    label=counts,
    total=counts,
    before=counts,
    after=counts,
    fixed=counts,
    broken=counts,
    lost_to=st.none() | counts,
)
verdicts = st.builds(
    Verdict,
    part=texts,
    samples=counts,
    targets=rates,
    broken=rates,
    protected=rates,
    others=rates,
    before=rates,
    after=rates,
    gain=st.builds(Interval, value=numbers, low=numbers, high=numbers),
    cost_before=numbers,
    cost_after=numbers,
    classes=st.lists(changes, max_size=2).map(tuple),
)
points = st.builds(
    Point,
    method=texts,
    name=texts,
    numbers=counts,
    selection=verdicts,
    held_out=verdicts,
    chosen=st.booleans(),
    accepted=st.booleans(),
    reason=texts,
    patch=texts,
)
few_texts = st.lists(texts, max_size=2).map(tuple)
sizes = st.builds(
    PartSize,
    name=st.sampled_from(("search", "held-out")) | texts,
    samples=counts,
    right=counts,
    targets=counts,
    protected=counts,
)
repairs = st.builds(
    PatchReport,
    tool_version=texts,
    model=cards,
    goal=texts,
    protect=texts,
    max_broken=maybe,
    parts=st.lists(sizes, max_size=2).map(tuple),
    methods=few_texts,
    points=st.lists(points, max_size=3).map(tuple),
    settings=few_texts,
    seed=counts,
    accepted=st.booleans(),
    reason=texts,
    skipped=few_texts,
    notes=few_texts,
    stages=st.lists(st.builds(Stage, name=texts, seconds=numbers), max_size=2).map(tuple),
    interrupted=st.booleans(),
)
slowly = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


class Page(HTMLParser):
    """Collects the tags and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.classes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "class":
                self.classes.append(f"{tag} {value}")


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def invisible(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"}


@slowly
@given(report=reports, explanation=texts)
def test_html_stays_one_silent_page(report: Report, explanation: str) -> None:
    explanations = {finding.code: explanation for finding in walk(report.findings)}
    html = render(report, "html", explanations=explanations)
    page = parsed(html)
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form"} & {*page.tags}
    assert not page.handlers
    assert all(address.startswith("#") for address in page.addresses)
    assert sum(c.startswith("details finding") for c in page.classes) == len(
        list(walk(report.findings))
    )
    assert not invisible(html)


@slowly
@given(report=repairs)
def test_a_repair_stays_one_silent_page(report: PatchReport) -> None:
    html = render(report, "html")
    page = parsed(html)
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form"} & {*page.tags}
    assert not page.handlers
    assert all(address.startswith("#") for address in page.addresses)
    assert page.tags.count("section") == page.tags.count("h2")
    assert not invisible(html)


@slowly
@given(report=reports | repairs)
def test_text_moves_no_cursor(report: Report | PatchReport) -> None:
    assert not invisible(render(report, "text"))
    assert render(report, "text", ascii_only=True).isascii()


@slowly
@given(report=reports)
def test_json_and_sarif_parse(report: Report) -> None:
    stored = render(report, "json")
    assert stored.isascii()
    assert render(load(stored), "json").count("\n") == stored.count("\n")
    drawn = json.loads(render(report, "sarif"))
    assert len(drawn["runs"][0]["results"]) == len(list(walk(report.findings)))


@slowly
@given(report=reports)
def test_github_keeps_one_line_per_finding(report: Report) -> None:
    drawn = render(report, "github")
    lines = drawn.splitlines()
    assert len(lines) == len(report.findings) + 1
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    assert not invisible(drawn)


@slowly
@given(report=repairs)
def test_a_repair_in_json_obeys_its_schema(report: PatchReport) -> None:
    stored = render(report, "json")
    assert stored.isascii()
    jsonschema.validate(json.loads(stored, parse_constant=pytest.fail), schema("patch"))


@slowly
@given(report=reports | repairs)
def test_markdown_has_only_our_tags(report: Report | PatchReport) -> None:
    outside, fence = [], ""
    for line in render(report, "markdown").split("\n"):
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            fence = "" if line == fence else fence
        elif len(ticks) >= 3:
            fence = ticks
        else:
            outside.append(line)
    assert {*parsed("\n".join(outside)).tags} <= {"details", "summary"}


@given(text=st.text())
def test_clean_text_is_clean_and_stays_so(text: str) -> None:
    assert not invisible(clean(text))
    assert "\n" not in clean(text)
    assert clean(clean(text)) == clean(text)


def test_an_unknown_format_is_named() -> None:
    card = ModelCard(name="m", form="f", digest="0", mode="graph", parameters=1)
    with pytest.raises(UnknownNameError, match="did you mean 'sarif'"):
        render(Report(model=card), "sariff")
    assert set(names()) == {"text", "json", "sarif", "github", "markdown", "html"}


def test_a_repair_has_no_place_in_code_to_annotate() -> None:
    card = ModelCard(name="m", form="f", digest="0", mode="graph", parameters=1)
    with pytest.raises(UnknownNameError, match="known: html, json, markdown, text"):
        render(PatchReport(model=card, goal="all errors"), "sarif")
    assert set(names(PatchReport)) == {"text", "json", "markdown", "html"}
