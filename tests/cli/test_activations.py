"""``dnnrepair activations`` says what there is and all about one, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dnnrepair.formats.braille import Canvas
from tests.formats.test_html import Nesting


def test_all_are_listed(dnnrepair: Any) -> None:
    from dnnrepair.activations import activations

    said = dnnrepair("activations")
    assert said.code == 0
    names = [line.split()[0] for line in said.out.splitlines()[1:] if line[:1].strip()]
    assert set(activations) <= set(names)
    assert max(map(len, said.out.splitlines())) <= 80


def test_one_is_told_with_its_curve_and_source(dnnrepair: Any) -> None:
    said = dnnrepair("activations", "xIELU")
    for phrase in ("arXiv:2411.13010", "lowest at -0.98", "he_normal, gain 0.7591", "class XIELU"):
        assert phrase in said.out
    assert any("\u2801" <= character <= "\u28ff" for character in said.out)
    start = said.out.index("from __future__")
    scope: dict[str, Any] = {}
    exec(said.out[start:], scope)
    assert type(scope["activation"]).__name__ == "XIELU"


def test_one_as_json_markdown_and_html(dnnrepair: Any, tmp_path: Path) -> None:
    sheet = json.loads(dnnrepair("activations", "gelu", "--output-format", "json").out)
    assert (sheet["schema_version"], sheet["name"]) == (1, "gelu")
    assert sheet["values"] == [pytest.approx(-0.17, abs=1e-3), None]
    assert dnnrepair("activations", "gelu", "--output-format", "markdown").out.startswith(
        "# gelu\n"
    )
    page = tmp_path / "gelu.html"
    said = dnnrepair("activations", "gelu", "--output", page)
    assert said.out == ""
    assert "written to" in said.err
    text = page.read_text()
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.open == []
    assert "<svg" in text
    assert "<title>dnnrepair: gelu</title>" in text
    assert dnnrepair("activations", "gelu", "--output", tmp_path / "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_an_unknown_activation_suggests_the_nearest(dnnrepair: Any) -> None:
    said = dnnrepair("activations", "preluu")
    assert said.code == 2
    assert said.out == ""
    assert said.err == "error: no activation is called 'preluu'; did you mean 'prelu'?\n"


def test_a_line_is_drawn_where_it_runs() -> None:
    canvas = Canvas((0.0, 1.0), (0.0, 1.0), (4, 2))
    canvas.line([(0.0, 0.0), (1.0, 1.0)])
    above, below = canvas.rows(ascii_only=True)
    assert (above[0], above[3]) == (" ", "*")
    assert (below[0], below[3]) == ("*", " ")
    assert canvas.rows()[0][0] == " "
    assert canvas.rows()[0][3] == "\u280a"  # left below, right above
