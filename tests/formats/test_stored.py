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
from dnnrepair.patch_report import PatchReport
from dnnrepair.report import Report
from tests.formats.repairs import ACCEPTED, COMPARED, EMPTY, REFUSED, costly


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


@pytest.mark.parametrize("repair", [ACCEPTED, COMPARED, REFUSED, EMPTY, costly(COMPARED)])
def test_a_repair_obeys_its_schema_even_with_nan(repair: PatchReport) -> None:
    stored = json.loads(render(repair, "json"), parse_constant=pytest.fail)
    jsonschema.validate(stored, schema("patch"))
    assert stored["kind"] == "patch"


def test_what_is_undefined_in_a_repair_is_null() -> None:
    stored = json.loads(render(costly(COMPARED), "json"))
    assert stored["points"][0]["held_out"]["cost_after"] is None
    assert stored["points"][1]["held_out"]["cost_after"] == 2.5 * 471


def test_a_repair_carries_the_intervals_of_its_rates() -> None:
    chosen = json.loads(render(ACCEPTED, "json"))["points"][1]["held_out"]
    rate = chosen["targets"]
    assert (rate["hits"], rate["tries"], rate["share"]) == (43, 64, 43 / 64)
    assert 0.54 < rate["low"] < rate["share"] < rate["high"] < 0.79


def test_the_schema_of_a_repair_refuses_what_we_do_not_write() -> None:
    jsonschema.Draft202012Validator.check_schema(schema("patch"))
    stored = json.loads(render(ACCEPTED, "json"))
    stored["points"][0]["held_out"]["targets"]["share"] = 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(stored, schema("patch"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(stored, schema("diagnosis"))


def test_a_repair_is_no_baseline() -> None:
    with pytest.raises(DataError, match="dnnrepair diagnose"):
        load(render(ACCEPTED, "json"))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", "null", "[" * 100_000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="--output-format json"):
        load(text)
