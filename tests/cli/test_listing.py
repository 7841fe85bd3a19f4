"""Commands that say what there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dnnrepair.finding import all_rules
from dnnrepair.formats.stored import KINDS, schema
from dnnrepair.models import names


def test_rules_are_listed(dnnrepair: Any) -> None:
    lines = dnnrepair("rules").out.splitlines()
    assert [line.split()[0] for line in lines] == list(all_rules())
    assert "dead-relu" in lines[0]


def test_rules_as_json(dnnrepair: Any) -> None:
    known = json.loads(dnnrepair("rules", "--output-format", "json").out)["rules"]
    assert [rule["code"] for rule in known] == list(all_rules())
    assert all(rule["summary"] and "## Source" in rule["explanation"] for rule in known)
    (limit,) = [s for s in known[0]["settings"] if s["name"] == "warn_share"]
    assert limit == {
        "name": "warn_share",
        "type": "float",
        "default": 0.5,
        "meaning": "of a layer's units, in [0, 1]",
    }


@pytest.mark.parametrize("code", list(all_rules()))
def test_every_rule_explains_itself(dnnrepair: Any, code: str) -> None:
    said = dnnrepair("explain", all_rules()[code].name)
    assert said.code == 0
    assert said.out.startswith(f"# {code} {all_rules()[code].name}\n")
    for heading in ("What it measures", "Why it matters", "What to do", "Limits", "Source"):
        assert f"\n## {heading}\n" in said.out


def test_explanations_are_styled_on_request(
    dnnrepair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in dnnrepair("explain", "ACT001").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in dnnrepair("explain", "ACT001").out


def test_the_schema_is_published(dnnrepair: Any) -> None:
    assert json.loads(dnnrepair("schema").out) == schema("diagnosis")
    for kind in KINDS:
        assert json.loads(dnnrepair("schema", "--kind", kind).out) == schema(kind)


def test_the_reference_networks_are_listed(dnnrepair: Any) -> None:
    out = dnnrepair("models").out
    assert all(f"models:{name}\n" in out for name in names())
    assert "+dead-units" in out
    assert "+look:unit-permutation" in out
