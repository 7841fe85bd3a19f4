from collections.abc import Callable
from dataclasses import replace

from markdown_it import MarkdownIt

from dnnrepair.finding import Remedy
from dnnrepair.formats import render
from dnnrepair.formats.words import walk
from dnnrepair.report import Report


def parsed(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_the_output_does_not_drift(report: Report, golden: Callable[[str, str], None]) -> None:
    golden("markdown.txt", render(report, "markdown"))


def test_a_parser_sees_one_row_per_finding(report: Report) -> None:
    page = parsed(render(report, "markdown"))
    assert page.count("<tr>") == 1 + len(list(walk(report.findings)))
    assert page.count("<td>") == 6 * len(list(walk(report.findings)))


def test_hostile_text_stays_text(report: Report) -> None:
    hostile = "a|b <script>x</script> [l](http://e) ![i](http://e) **b** `c` @all #1"
    odd = replace(report.findings[1], message=hostile, layer=hostile)
    page = parsed(render(replace(report, findings=(odd,)), "markdown"))
    assert page.count("<td>") == 6
    for tag in ("<script", "<a ", "<img", "<strong", "<td><code"):
        assert tag not in page


def test_code_cannot_leave_its_fence(report: Report) -> None:
    code = "x = '''\n```\n<b>\n````\n'''"
    odd = replace(report.findings[1], remedies=(Remedy(advice="do", code=code),))
    page = parsed(render(replace(report, findings=(odd,)), "markdown"))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
