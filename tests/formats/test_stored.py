import json
import math
from collections.abc import Callable
from dataclasses import replace

import jsonschema
import pytest

from dnnrepair.errors import DataError
from dnnrepair.finding import Severity
from dnnrepair.formats import render
from dnnrepair.formats.stored import load, schema
from dnnrepair.formats.words import walk
from dnnrepair.report import Report


def test_the_output_obeys_its_schema_even_with_nan(report: Report) -> None:
    assert math.isnan(report.findings[2].measured)
    stored = json.loads(render(report, "json"), parse_constant=pytest.fail)
    jsonschema.validate(stored, schema())
    assert stored["findings"][2]["measured"] is None


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_schema_refuses_what_we_do_not_write(report: Report) -> None:
    stored = json.loads(render(report, "json"))
    stored["findings"][0]["severity"] = "bad"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(stored, schema())


def test_loading_is_the_inverse(report: Report) -> None:
    unknown = replace(report.findings[2], measured=0.0, limit=0.0)  # NaN equals nothing
    finite = replace(report, findings=(*report.findings[:2], unknown))
    assert load(render(finite, "json")) == finite
    again = load(render(report, "json")).findings[2]
    assert math.isnan(again.measured)
    assert again.severity is Severity.NOTE


def test_every_finding_carries_its_fingerprint(report: Report) -> None:
    text = render(report, "json")
    assert all(finding.fingerprint in text for finding in walk(report.findings))


def test_the_output_does_not_drift(report: Report, golden: Callable[[str, str], None]) -> None:
    golden("report.json", render(report, "json"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"schema_version": "1"}, "schema version '1'"),
        ({"findings": 3}, "damaged at 'findings'"),
        ({"model": {}}, "damaged at 'model"),
    ],
)
def test_a_wrong_report_is_refused(report: Report, change: dict[str, object], said: str) -> None:
    stored = json.loads(render(report, "json")) | change
    with pytest.raises(DataError, match=said):
        load(json.dumps(stored))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", "null", "[" * 100_000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="--output-format json"):
        load(text)
