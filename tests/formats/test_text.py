import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len

from dnnrepair.finding import Severity
from dnnrepair.formats import render
from dnnrepair.formats.tree import grown, rows
from dnnrepair.formats.words import walk
from dnnrepair.report import LayerHealth, Report


def test_the_output_does_not_drift(report: Report, golden: Callable[[str, str], None]) -> None:
    golden("text.txt", render(report, "text"))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_fits(report: Report, width: int) -> None:
    code = {line for f in walk(report.findings) for r in f.remedies for line in r.code.split("\n")}
    for line in render(report, "text", width=width).split("\n"):
        assert cell_len(line) <= width or line in code


def test_code_stands_alone_at_the_left_edge(report: Report) -> None:
    assert report.findings[0].remedies[0].code in render(report, "text", width=40)


def test_color_changes_nothing_but_color(report: Report) -> None:
    colored = render(report, "text", color=True)
    assert "\x1b[" in colored
    plain = re.sub(r"\x1b\[[\d;]*m", "", colored)
    assert [line.rstrip() for line in plain.split("\n")] == render(report, "text").split("\n")


def test_ascii_says_the_same(report: Report) -> None:
    plain = render(report, "text", ascii_only=True)
    assert plain.isascii()
    assert len(plain.split("\n")) == len(render(report, "text").split("\n"))


def test_every_layer_finding_and_skip_is_there(report: Report) -> None:
    text = render(report, "text", width=200)
    for layer in report.layers:
        assert re.search(rf"{re.escape(layer.name.split('.')[-1])} +{layer.op}", text)
    for finding in walk(report.findings):
        assert finding.message in text
    for skip in report.skipped:
        assert skip.reason in text


def test_silence_is_no_health(healthy: Report) -> None:
    assert "No fault was found." in render(healthy, "text")
    assert "partial" in render(replace(healthy, interrupted=True), "text")
    assert "Inconclusive: too few" in render(replace(healthy, inconclusive="too few"), "text")


def test_a_tree_keeps_every_layer_in_order(report: Report) -> None:
    drawn = [row.layer for row in rows(grown(report.layers)) if row.layer]
    assert drawn == list(report.layers)


def test_odd_names_keep_their_rows() -> None:
    odd = ("", "a", "a", "a.b", "a", ".", "..", ".".join("x" * 3000))
    layers = [LayerHealth(name=name, op="relu") for name in odd]
    drawn = [row.layer for row in rows(grown(layers)) if row.layer]
    assert len(drawn) == len(layers)
    assert all(any(layer is other for other in drawn) for layer in layers)


def test_the_verdict_follows_the_worst(report: Report, healthy: Report) -> None:
    warned = replace(healthy, findings=report.findings[1:])
    assert warned.worst() is Severity.WARNING
    assert "weaknesses: 1 warning, 1 note" in render(warned, "text")
