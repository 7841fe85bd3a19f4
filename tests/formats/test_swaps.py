"""A changed network in every format: what it costs is told, and names from files stay names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dnnrepair.formats import render
from dnnrepair.formats.stored import schema
from dnnrepair.rate import Rate
from dnnrepair.report import ModelCard
from dnnrepair.swap_report import Difference, OutOfRange, Promise, Swap, SwapReport
from tests.formats.test_hostile import (
    cards,
    counts,
    few_texts,
    invisible,
    maybe,
    numbers,
    parsed,
    rates,
    slowly,
    texts,
)

EXACT = Difference(
    inputs="test.npz, first half",
    samples=300,
    relative=1.2e-7,
    typical=3e-8,
    agreement=Rate(300, 300),
    before=Rate(270, 300),
    after=Rate(270, 300),
    loss_before=0.3121,
    loss_after=0.3121,
)
NEAR = replace(EXACT, relative=0.084, typical=0.011, agreement=Rate(297, 300), after=Rate(268, 300))
REPORT = SwapReport(
    tool_version="0.1.0",
    model=ModelCard(
        name="model.pt",
        form="state dict",
        digest="0123456789abcdef",
        mode="graph",
        parameters=13_130,
        data="test.npz",
        samples=600,
    ),
    swaps=(
        Swap(
            operation="revive",
            layers=("conv1", "fc"),
            summary="idle units of conv1, fc re-drawn; nobody reads them yet",
            units=7,
            difference=EXACT,
        ),
        Swap(
            operation="activation",
            layers=("conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc"),
            summary="relu became silu after conv1, conv2 and 5 more",
            settings=("new = silu", "mode = auto"),
            promise=Promise.CLOSEST,
            reason="0.011 of a deviation off, on the layer's own inputs",
            difference=NEAR,
        ),
        Swap(
            operation="temperature",
            layers=("fc",),
            summary="logits divided by 1.61",
            promise=Promise.CHANGES,
            difference=replace(NEAR, relative=math.inf, typical=math.inf),
        ),
    ),
    overall=replace(NEAR, inputs="test.npz, held-out half", samples=300),
    ranges=(
        OutOfRange(layer="conv1", low=-3.1, high=3.1, values=Rate(0, 76_800), inputs=Rate(0, 300)),
        OutOfRange(layer="fc", low=-21.5, high=19.2, values=Rate(5, 19_200), inputs=Rate(3, 300)),
    ),
    skipped=("--activation silu: head: its relu gives the network's outputs",),
    files=("new.pt", "new.py"),
    form="state dict, and the network's code in new.py",
    structural=True,
    notes=("600 inputs are few",),
    seed=3,
)
TRIAL = replace(
    REPORT,
    swaps=REPORT.swaps[:1],
    overall=EXACT,
    ranges=(),
    files=(),
    form="",
    structural=False,
    skipped=(),
)
ALL = {"written": REPORT, "trial": TRIAL}


@pytest.mark.parametrize("name", ALL)
def test_the_output_does_not_drift(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"swap_{name}.txt", render(ALL[name], "text"))


def test_markdown_does_not_drift(golden: Callable[[str, str], None]) -> None:
    golden("swap_markdown.txt", render(REPORT, "markdown"))


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("report", ALL.values(), ids=ALL)
def test_it_fits_and_loses_nothing(report: SwapReport, width: int) -> None:
    text = render(report, "text", width=width)
    assert all(cell_len(line) <= width for line in text.split("\n"))
    assert "…" not in text


def test_benefit_and_cost_stand_beside_each_other() -> None:
    text = " ".join(render(REPORT, "text").split())
    assert "3 changes, outputs changed" in text
    assert "outputs differ by at most 0.084 of the largest (0.011 in the mean)" in text
    assert "297 of 300 answers are the same" in text
    assert "accuracy 90.0 % → 89.3 % (-0.67 points)" in text
    assert "more than can be measured" in " ".join(render(REPORT, "text", width=120).split())
    assert "1 change, and no output changed" in render(TRIAL, "text")
    assert "Nothing was written." in render(TRIAL, "text")


def test_what_polynomials_read_outside_of_their_ranges_is_told() -> None:
    text = " ".join(render(REPORT, "text").split())
    assert "up to 0.03 % lies outside of their ranges, in 1 layer of 2 (300 inputs)" in text
    assert "3 of 300" in text
    inside = replace(REPORT, ranges=REPORT.ranges[:1])
    text = " ".join(render(inside, "text").split())
    assert "nothing lies outside of their ranges (300 inputs)" in text
    assert "polynomials" not in render(TRIAL, "text")


differences = st.builds(
    Difference,
    inputs=texts,
    samples=counts,
    relative=numbers,
    typical=numbers,
    agreement=st.none() | rates,
    before=st.none() | rates,
    after=st.none() | rates,
    loss_before=maybe,
    loss_after=maybe,
)
reports = st.builds(
    SwapReport,
    tool_version=texts,
    model=cards,
    swaps=st.lists(
        st.builds(
            Swap,
            operation=texts,
            layers=st.lists(texts, max_size=8).map(tuple),
            summary=texts,
            settings=few_texts,
            promise=st.sampled_from(Promise),
            reason=texts,
            difference=st.none() | differences,
            units=counts,
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
    overall=st.none() | differences,
    ranges=st.lists(
        st.builds(OutOfRange, layer=texts, low=numbers, high=numbers, values=rates, inputs=rates),
        max_size=2,
    ).map(tuple),
    skipped=few_texts,
    files=few_texts,
    form=texts,
    structural=st.booleans(),
    notes=few_texts,
    seed=counts,
)


@slowly
@given(report=reports)
def test_html_stays_one_silent_page_whatever_names_say(report: SwapReport) -> None:
    html = render(report, "html")
    page = parsed(html)
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form"} & {*page.tags}
    assert not page.handlers
    assert all(address.startswith("#") for address in page.addresses)
    assert not invisible(html)


@slowly
@given(report=reports)
def test_text_and_markdown_are_clean_and_json_obeys_its_schema(report: SwapReport) -> None:
    assert not invisible(render(report, "text"))
    assert render(report, "text", ascii_only=True).isascii()
    assert not {*parsed(render(report, "markdown")).tags} - {"details", "summary"}
    stored = json.loads(render(report, "json"), parse_constant=pytest.fail)
    jsonschema.validate(stored, schema("swap"))
