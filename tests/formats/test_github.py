import re
from dataclasses import replace
from urllib.parse import unquote

from dnnrepair.formats import render
from dnnrepair.report import Report


def test_one_annotation_per_root_and_a_verdict(report: Report) -> None:
    lines = render(report, "github").splitlines()
    assert len(lines) == len(report.findings) + 1
    assert [re.match(r"::(\w+) ", line)[1] for line in lines] == [  # type: ignore[index]
        "error",
        "warning",
        "notice",
        "notice",
    ]


def test_what_github_reads_back_is_what_was_said(report: Report) -> None:
    """The runner decodes %25 %0D %0A (and %3A %2C in properties): a percent decoding."""
    odd = replace(report.findings[1], message="50 % of: a,b", layer="a,b:c", where="x,y.py:7")
    line = render(replace(report, findings=(odd,)), "github").splitlines()[0]
    head, _, message = line[2:].partition("::")
    pairs = dict(pair.split("=", 1) for pair in head.split(" ", 1)[1].split(","))
    assert {k: unquote(v) for k, v in pairs.items()} == {
        "title": "OUT002 a,b:c",
        "file": "x,y.py",
        "line": "7",
    }
    assert unquote(message) == "a,b:c (x,y.py:7): 50 % of: a,b"
