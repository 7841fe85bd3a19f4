"""What other methods reach on the same rows, within what they are made for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

import numpy as np

from dnnrepair.debiasing.fairlearn_methods import decided
from dnnrepair.debiasing.reweighing import reweighed
from dnnrepair.debiasing.scored import Scored
from dnnrepair.debiasing.thresholds import per_group
from dnnrepair.fairness.choice import judged
from dnnrepair.fairness.responses import Responses
from dnnrepair.fairness_report import BaselineResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort

_MISSING = "fairlearn is not installed: pip install 'dnnrepair[fairness]'"


def baselines(case: Case, test: Cohort) -> tuple[tuple[BaselineResult, ...], tuple[str, ...]]:
    """Return what other methods reach, and what was skipped with the reason.

    All are fitted to the rows that repair. Only the first two leave the network's inputs as they
    are: the others must be told the group of each person to decide.

    Args:
        case: what was repaired; where the objective compares no groups nothing is measured.
        test: rows that judge.
    """
    if not case.disparity.rates:
        return (), ("baselines: they compare groups, and the objective does not",)
    fit, judge = Scored.of(case, case.repair), Scored.of(case, test)
    found = [_result(case, judge, "unmodified", judge.scores > 0.5)]  # noqa: PLR2004
    skipped = []
    margins = reweighed(fit, judge)
    if margins is None:
        skipped.append("reweighing: the network does not end in a linear layer")
    else:
        found.append(_result(case, judge, "reweighing_last_layer", margins > 0))
    found.append(
        _result(case, judge, "threshold_per_group", per_group(case, fit, judge), told=True)
    )
    try:
        with catch_warnings():
            simplefilter("ignore")  # of fairlearn about pandas: nothing the user could change
            found += [
                _result(case, judge, name, positive, told=told)
                for name, positive, told in decided(case, fit, judge)
            ]
    except ImportError:
        skipped += [f"threshold_optimizer, exponentiated_gradient: {_MISSING}"]
    return tuple(found), tuple(skipped)


def _result(
    case: Case, rows: Scored, name: str, positive: NDArray[np.bool_], *, told: bool = False
) -> BaselineResult:
    cohort = rows.cohort
    other = next(c for c in (0, 1) if c != cohort.positive)
    predicted = np.where(positive, cohort.positive, other)
    responses = Responses(predicted=predicted, margins=np.zeros(len(predicted)))
    found = judged(cohort, case.disparity, None, responses)
    accuracy = float((positive == (cohort.labels == 1)).mean())
    return BaselineResult(
        id=name, accuracy=accuracy, gap=found.gap, f1=found.f1, uses_sensitive_at_inference=told
    )
