"""What the reader of a repair is warned of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dnnrepair.debiasing.cautions import repair_cautions
from dnnrepair.fairness.paired import levels_down
from dnnrepair.fairness_report import PatchCard


def codes(**changed: Any) -> list[str]:
    """The codes of a repair on which all went well, with some things changed."""
    cohort = SimpleNamespace(attribute="sex")
    opened = SimpleNamespace(
        repair=SimpleNamespace(cohort=cohort),
        excluded=changed.get("excluded", ()),
        shared=changed.get("shared", 0),
    )
    chosen = changed.get("chosen", SimpleNamespace(gap=0.05))
    found = SimpleNamespace(chosen=chosen, reason=changed.get("reason", "it keeps most accuracy"))
    judged = SimpleNamespace(gap=changed.get("gap", 0.06)) if chosen else None
    judgement = SimpleNamespace(level_down=changed.get("level_down", False), chosen=judged)
    card = PatchCard(layers=("fc",), weights=3, l2=1, linf=1,
                     sensitive_weights=changed.get("reads", False))  # fmt: skip
    arguments: Any = (opened, found, judgement, card)
    return [one.code for one in repair_cautions(*arguments)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"excluded": ("Other",)}, ["TINY_GROUP"]),
        ({"shared": 4}, ["SPLIT_OVERLAP"]),
        ({"chosen": None, "reason": "DEGENERATE: the same for everybody"}, ["DEGENERATE"]),
        ({"chosen": None, "reason": "no candidate keeps the limits"}, []),
        ({"level_down": True}, ["LEVEL_DOWN"]),
        ({"reads": True}, ["READS_GROUP"]),
        ({"gap": 0.11}, ["OPTIMISM"]),  # more than twice the gap on the rows that select
        ({"gap": 0.099}, []),
    ],
)
def test_each_caution_has_its_cause(changed: dict[str, Any], expected: list[str]) -> None:
    assert codes(**changed) == expected


@pytest.mark.parametrize(
    ("moves", "down"),
    [
        (((0, 10), (0, 30)), True),  # nobody won, positives of both groups lost
        (((5, 0), (0, 30)), False),  # those of one group won
        (((0, 0), (0, 0)), False),  # nothing changed
        (((0, 0), (0, 30)), True),  # those of the better group lost, the others stay
    ],
)
def test_leveling_down_is_when_nobody_gains(moves: Any, down: bool) -> None:
    table = np.zeros((2, 2, 2, 2))  # groups, labels, before, after
    table[:, 0] = [[40, 0], [0, 10]]
    for group, (won, lost) in enumerate(moves):
        table[group, 1] = [[50 - won, won], [lost, 50 - lost]]
    assert levels_down(table) is down
