"""Root causes come first; nothing severe is hidden under something mild."""

from __future__ import annotations

from dataclasses import replace

from dnnrepair.causes import by_cause
from dnnrepair.finding import Finding, Severity
from dnnrepair.observation import Observations
from dnnrepair.sites import Site, Sites

SEEN = Observations(
    sites=Sites(
        (
            Site(name="x", op="input"),
            Site(name="c1", op="conv2d", layer="first", inputs=("x",)),
            Site(name="c2", op="conv2d", layer="second", inputs=("c1",)),
        )
    )
)


def finding(code: str, layer: str, severity: Severity) -> Finding:
    return Finding(code=code, severity=severity, layer=layer, message=code, measured=1, limit=0)


def test_a_downstream_symptom_hangs_under_its_cause() -> None:
    bn = finding("BN002", "first", Severity.ERROR)
    dead = finding("ACT001", "second", Severity.WARNING)
    collapse = finding("OUT002", "", Severity.ERROR)
    (root,) = by_cause([collapse, dead, bn], SEEN)
    assert root.code == "BN002"
    assert [f.code for f in root.consequences] == ["ACT001", "OUT002"]


def test_a_symptom_upstream_stands_alone_but_gradients_flow_back() -> None:
    bn = finding("BN002", "second", Severity.ERROR)
    dead = finding("ACT001", "first", Severity.WARNING)
    vanishing = replace(finding("GRD001", "first", Severity.WARNING), site="c1")
    roots = by_cause([dead, vanishing, bn], SEEN)
    assert [f.code for f in roots] == ["BN002", "ACT001"]
    assert [f.code for f in roots[0].consequences] == ["GRD001"]


def test_a_layer_that_never_runs_is_nobodys_consequence() -> None:
    softmax = finding("OUT001", "second", Severity.ERROR)
    bn = finding("BN002", "second", Severity.ERROR)
    unused = finding("GRD004", "forgotten", Severity.WARNING)
    codes = [f.code for f in by_cause([softmax, unused, bn], SEEN)]
    assert "GRD004" in codes


def test_an_error_is_never_hidden_under_a_warning() -> None:
    data = finding("DAT001", "", Severity.WARNING)
    dead = finding("ACT001", "second", Severity.ERROR)
    assert [f.code for f in by_cause([data, dead], SEEN)] == ["ACT001", "DAT001"]


def test_nothing_is_lost() -> None:
    codes = ["NUM001", "INI001", "WGT001", "RES001", "GRD002", "OUT003", "XYZ001"]
    given = [finding(code, "first", Severity.NOTE) for code in codes]
    found = by_cause(given, SEEN)
    said = [f.code for root in found for f in (root, *root.consequences)]
    assert sorted(said) == sorted(codes)
