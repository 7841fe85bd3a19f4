"""Sentences about a repair hide no harm."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.formats.outcomes import figures, judged, sentences, state, weighed
from dnnrepair.formats.repair import MOST_CLASSES, document
from dnnrepair.formats.shares import percent, points
from dnnrepair.patch_report import PatchReport
from dnnrepair.rate import Rate
from dnnrepair.verdict import ClassChange, Interval, Verdict
from tests.formats.repairs import ACCEPTED, CLASSES, REFUSED

CHOSEN = ACCEPTED.points[1]


def judged_so(**known: object) -> PatchReport:
    """Return the report with another verdict on the held-out part."""
    verdict = replace(CHOSEN.held_out, **known)  # type: ignore[arg-type]
    return replace(ACCEPTED, points=(replace(CHOSEN, held_out=verdict),))


def test_the_state_follows_the_held_out_part() -> None:
    assert state(judged_so(gain=Interval(value=0.01, low=0.0, high=0.02))) == "healthy"
    assert state(ACCEPTED) == "note"
    assert state(judged_so(gain=Interval(value=-0.01, low=-0.02, high=0.01))) == "warning"
    assert state(judged_so(targets=Rate(0, 64))) == "warning"
    assert state(REFUSED) == "error"


def test_a_loss_on_the_held_out_part_is_said() -> None:
    lost = " ".join(sentences(judged_so(gain=Interval(value=-0.01, low=-0.02, high=-0.001))))
    assert "It loses accuracy there" in lost
    assert "It fixed none" in " ".join(sentences(judged_so(targets=Rate(0, 64))))


def test_a_sure_gain_without_a_loser_raises_no_doubt() -> None:
    better = tuple(one for one in CLASSES if one.after >= one.before)
    report = judged_so(gain=Interval(value=0.01, low=0.002, high=0.02), classes=better)
    text = " ".join(sentences(report))
    assert "chance" not in text
    assert "No class gets worse." in text


def test_without_classes_nobody_pays() -> None:
    assert "class" not in " ".join(sentences(judged_so(classes=()))).lower()


def test_other_data_that_judge_are_named() -> None:
    assert "the held-out part (unseen.npz), against" in judged(
        replace(CHOSEN.held_out, part="unseen.npz")
    )


def test_protected_inputs_are_told_where_they_are_not_all_that_is_right() -> None:
    def names(verdict: Verdict) -> list[str]:
        return [figure.name for figure in figures(verdict)]

    assert "Protected ones broken" not in names(CHOSEN.held_out)
    some = replace(CHOSEN.held_out, protected=Rate(0, 300))
    assert "Protected ones broken" in names(some)


def test_costs_that_are_counts_are_not_weighed() -> None:
    assert not weighed(CHOSEN.held_out)
    assert weighed(replace(CHOSEN.held_out, cost_after=1.0))


def test_of_many_classes_those_that_changed_most_are_shown() -> None:
    many = tuple(
        ClassChange(label=label, total=9, before=5, after=5, fixed=label % 7, broken=label % 7)
        for label in range(1000)
    )
    section = document(judged_so(classes=many)).sections[0]
    assert section.table
    labels = [int(row.cells[0]) for row in section.table.rows]
    assert len(labels) == MOST_CLASSES
    assert labels == sorted(labels)
    assert all(label % 7 == 6 for label in labels)
    assert section.items == ("and 970 more that changed less",)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_is_near_and_never_rounded_to_all_or_nothing(pair: tuple[int, int]) -> None:
    hits, tries = pair
    said = percent(hits / tries)
    number = float(said.removeprefix("above "))
    assert abs(number - 100 * hits / tries) <= 0.051
    assert (number == 0) == (hits == 0)
    assert (number == 100) == (hits == tries)


@given(st.floats(-1, 1))
def test_a_change_keeps_its_sign(change: float) -> None:
    said = float(points(change))
    assert abs(said - 100 * change) <= 0.051
    assert (said > 0) == (change > 0) or abs(change) < 1e-300
