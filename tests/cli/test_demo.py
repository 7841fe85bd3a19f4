"""``dnnrepair demo`` finds what it has planted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_finds_what_it_has_planted(dnnrepair: Any, here: Path) -> None:
    said = dnnrepair("demo")
    assert said.code == 0, said
    for code in ("ACT001", "BN002", "GRD004", "OUT001"):
        assert code in said.out
    path = here / "dnnrepair-report.html"
    assert str(path) in said.out.splitlines()[-1]
    assert path.read_text().lower().startswith("<!doctype html")


def test_the_demo_checks_the_output_first(dnnrepair: Any, here: Path) -> None:
    said = dnnrepair("demo", "--output", here)
    assert (said.code, said.out) == (2, "")
    assert "it is a folder" in said.err
