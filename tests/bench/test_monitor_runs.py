"""Runs that go well or wrong: a few of them for real, and how they are counted."""

from __future__ import annotations

import pytest

from dnnrepair.bench.monitor_runs import CONSTANT, COURSES, HEALTHY, Watched, judged, watched
from dnnrepair.finding import live_rules

BY_NAME = {course.name: course for course in COURSES}
NAMED = {  # what the text of every accepted finding must speak of
    "SGD at a rate of 1": "learning rate",
    "learning rate 100 times too high": "learning rate",
    "learning rate 10,000 times too low": "learning rate",
    "labels at random": "wrong labels",
    "300 samples, labels of 40 % at random": "overfits",
    "three rare classes": "rare",
    "log of 0 in the loss": "logarithm",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_accepted_findings_name_the_fault(name: str) -> None:
    for code in BY_NAME[name].codes:
        assert NAMED[name] in " ".join((live_rules[code].__doc__ or "").split())


def said(course: str, *codes: str, network: str = "mlp-relu", seed: int = 0) -> Watched:
    return Watched(course=course, network=network, seed=seed, steps=100, codes=codes)


@pytest.mark.parametrize("name", ["three rare classes", "labels at random"])
def test_a_run_that_goes_wrong_is_found(name: str) -> None:
    found = watched(BY_NAME[name], "mlp-relu", seed=3)
    assert set(found.codes) & set(BY_NAME[name].codes)


def test_a_run_that_goes_well_is_not() -> None:
    found = watched(HEALTHY, "mlp-relu", seed=3)
    assert found.codes == ()
    assert found.steps == 760


def test_misses_and_alarms_are_counted() -> None:
    table, figures = judged(
        [
            said("healthy"),
            said("healthy", "TRN004", seed=1),
            said("labels at random", "TRN002", "TRN005"),
            said("labels at random", "TRN005", network="cnn"),
        ]
    )
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["healthy"] == ("1", "nothing", "1/2", "TRN004 1")
    assert rows["labels at random"] == ("2", "TRN002", "1/2", "TRN002 1, TRN005 2")
    assert rows[CONSTANT.name] == ("0", "nothing", "0/0", "nothing")
    assert [(figure.value, figure.met) for figure in figures] == [(1.0, False), (0.5, False)]
    _, (alarms, found) = judged([said("healthy"), said("log of 0 in the loss", "TRN001")])
    assert (alarms.value, alarms.met, found.value, found.met) == (0.0, True, 1.0, True)
