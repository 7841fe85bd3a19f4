import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dnnrepair.formats import render
from dnnrepair.formats.words import walk
from dnnrepair.report import Report

URI = {"type": "string", "format": "uri-reference", "pattern": r"^[!#$&-;=?-\[\]_a-z~%A-Z0-9]*$"}
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
LOCATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "message": TEXT,
        "physicalLocation": {
            "required": ["artifactLocation"],
            "additionalProperties": False,
            "properties": {
                "artifactLocation": {"required": ["uri"], "properties": {"uri": URI}},
                "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
            },
        },
        "logicalLocations": {
            "type": "array",
            "items": {
                "additionalProperties": False,
                "properties": {
                    "fullyQualifiedName": {"type": "string"},
                    "kind": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": False,
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
RESULT = {
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": -1},
        "level": LEVEL,
        "message": TEXT,
        "locations": {"type": "array", "items": LOCATION},
        "relatedLocations": {"type": "array", "items": LOCATION, "uniqueItems": True},
        "partialFingerprints": {"additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
    },
}
RULE = {
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": {"required": ["text"], "properties": {"markdown": {"type": "string"}}},
    },
}
NOTIFICATION = {
    "required": ["message"],
    "additionalProperties": False,
    "properties": {"message": TEXT, "level": LEVEL, "descriptor": {"required": ["id"]}},
}
SCHEMA = {  # the part of the OASIS schema that we use, its names and constraints
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {"type": "array", "items": RULE, "uniqueItems": True},
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "toolExecutionNotifications": {
                                    "type": "array",
                                    "items": NOTIFICATION,
                                },
                            },
                        },
                    },
                    "artifacts": {"type": "array", "uniqueItems": True},
                    "results": {"type": "array", "items": RESULT},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                },
            },
        },
    },
}


@pytest.fixture
def run(report: Report, explanations: dict[str, str]) -> dict[str, Any]:
    drawn = json.loads(render(report, "sarif", explanations=explanations))
    jsonschema.validate(drawn, SCHEMA)
    run: dict[str, Any] = drawn["runs"][0]
    return run


def test_results_point_at_their_rules_and_places(report: Report, run: dict[str, Any]) -> None:
    found = list(walk(report.findings))
    rules = run["tool"]["driver"]["rules"]
    for finding, result in zip(found, run["results"], strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.code
        assert result["partialFingerprints"] == {"dnnrepair/v1": finding.fingerprint}
        place = result["locations"][0]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "runs/digits%20cnn.pt"
        names = [at["fullyQualifiedName"] for at in place.get("logicalLocations", ())]
        assert names == ([finding.layer] if finding.layer else [])
    source = run["results"][0]["relatedLocations"][0]["physicalLocation"]
    assert source == {"artifactLocation": {"uri": "net.py"}, "region": {"startLine": 21}}


def test_skips_are_told(report: Report, run: dict[str, Any]) -> None:
    (invocation,) = run["invocations"]
    assert len(invocation["toolExecutionNotifications"]) == len(report.skipped)
    assert invocation["executionSuccessful"]


def test_the_rule_explains_itself(run: dict[str, Any]) -> None:
    rule = next(r for r in run["tool"]["driver"]["rules"] if r["id"] == "ACT001")
    assert rule["shortDescription"]["text"] == "Units that are zero on nearly every sample."
    assert "\n## Why it matters\n" in rule["help"]["markdown"]


def test_an_absolute_path_is_a_file_uri(report: Report) -> None:
    card = replace(report.model, name=str(Path("/m/ü#?.pt")))
    run = json.loads(render(replace(report, model=card), "sarif"))["runs"][0]
    assert run["artifacts"][0]["location"]["uri"] == "file:///m/%C3%BC%23%3F.pt"
