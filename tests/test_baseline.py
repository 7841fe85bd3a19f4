"""Only what an earlier report did not say is reported."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.baseline import without_known
from dnnrepair.finding import Finding, Severity
from dnnrepair.report import ModelCard, Report

CARD = ModelCard(name="m", form="live", digest="0", mode="graph", parameters=1)


def finding(
    code: str, severity: Severity = Severity.WARNING, *consequences: Finding, measured: float = 1
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        layer="fc",
        message=code,
        measured=measured,
        limit=0,
        consequences=consequences,
    )


def report(*findings: Finding) -> Report:
    return Report(model=CARD, findings=findings)


def test_a_known_finding_is_counted_whatever_its_value() -> None:
    left = without_known(report(finding("ACT001", measured=9)), report(finding("ACT001")))
    assert (left.findings, left.suppressed) == ((), 1)


def test_the_same_rule_in_another_layer_is_new() -> None:
    other = replace(finding("ACT001"), layer="other")
    assert without_known(report(other), report(finding("ACT001"))).findings == (other,)


def test_a_known_finding_that_got_worse_is_new() -> None:
    worse = finding("ACT001", Severity.ERROR)
    left = without_known(report(worse), report(finding("ACT001", Severity.NOTE)))
    assert (left.findings, left.suppressed) == ((worse,), 0)


def test_a_new_consequence_of_a_known_root_surfaces() -> None:
    new = finding("OUT002")
    now = report(finding("BN002", Severity.ERROR, new), finding("ACT002", Severity.ERROR))
    left = without_known(now, report(finding("BN002", Severity.ERROR)))
    assert [f.code for f in left.findings] == ["ACT002", "OUT002"]  # worst first
    assert left.suppressed == 1


def test_a_known_consequence_of_a_new_root_goes() -> None:
    now = report(finding("BN002", Severity.ERROR, finding("OUT002")))
    left = without_known(now, report(finding("OUT002")))
    assert left.findings == (finding("BN002", Severity.ERROR),)
    assert left.suppressed == 1


CODES = st.sampled_from([f"ACT00{n}" for n in range(5)])
FINDINGS = st.builds(
    finding, CODES, st.sampled_from(Severity), st.builds(finding, CODES, st.sampled_from(Severity))
)


@given(st.lists(FINDINGS), st.lists(FINDINGS))
def test_nothing_is_lost_and_nothing_known_is_left(now: list[Finding], old: list[Finding]) -> None:
    def everything(findings: tuple[Finding, ...]) -> list[Finding]:
        return [f for root in findings for f in (root, *everything(root.consequences))]

    left = without_known(report(*now), report(*old))
    assert len(everything(left.findings)) + left.suppressed == len(everything(tuple(now)))
    known = {(f.fingerprint, f.severity) for f in everything(tuple(old))}
    assert not known & {(f.fingerprint, f.severity) for f in everything(left.findings)}
    assert without_known(left, report(*now)).findings == ()
