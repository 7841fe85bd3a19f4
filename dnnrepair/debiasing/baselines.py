"""What other methods reach on the same rows, within what they are made for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, cast
from warnings import catch_warnings, simplefilter

import numpy as np
import torch

from dnnrepair.errors import ModelError, SettingError
from dnnrepair.fairness.choice import judged
from dnnrepair.fairness.responses import BATCH, Asking, Responses
from dnnrepair.fairness_report import BaselineResult
from dnnrepair.methods.heads import Head, entering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.fairness.case import Case
    from dnnrepair.fairness.cohort import Cohort

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]

_GRID = 40  # thresholds of each group that are tried
_STEPS = 200  # of L-BFGS
_MISSING = "fairlearn is not installed: pip install 'dnnrepair[fairness]'"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Rows that fit a baseline, or judge it: scores, groups, labels and what enters the head."""

    cohort: Cohort
    scores: Numbers
    features: Numbers | None


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
    fit, judge = _rows(case, case.repair), _rows(case, test)
    found = [_result(case, judge, "unmodified", judge.scores > 0.5)]  # noqa: PLR2004
    skipped = []
    reweighed = _reweighed(fit, judge)
    if reweighed is None:
        skipped.append("reweighing: the network does not end in a linear layer")
    else:
        found.append(_result(case, judge, "reweighing_last_layer", reweighed > 0))
    found.append(
        _result(case, judge, "threshold_per_group", _per_group(case, fit, judge), told=True)
    )
    try:
        with catch_warnings():
            simplefilter("ignore")  # of fairlearn about pandas: nothing the user could change
            found += list(_fairlearn(case, fit, judge))
    except ImportError:
        skipped += [f"threshold_optimizer, exponentiated_gradient: {_MISSING}"]
    return tuple(found), tuple(skipped)


def _rows(case: Case, cohort: Cohort) -> _Rows:
    inside = torch.from_numpy(cohort.groups >= 0).nonzero()[:, 0]
    own = cohort.at(inside, cohort.name)
    scores = Asking.of(case.subject, own).responses().scores
    return _Rows(cohort=own, scores=scores, features=_features(case, own))


def _features(case: Case, cohort: Cohort) -> Numbers | None:
    """Return what enters the last layer, ``(n, d)``; None if it is not linear."""
    try:
        head = Head.of(case.subject)
    except (ModelError, SettingError):
        return None
    size = case.subject.running.batch_size or BATCH
    parts = [
        entering(case.subject, batch.inputs, head)[0].reshape(len(batch), -1)
        for batch in cohort.samples.batches(size)
    ]
    found: Numbers = torch.cat(parts).double().cpu().numpy()
    return found


def _result(
    case: Case, rows: _Rows, name: str, positive: NDArray[np.bool_], *, told: bool = False
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


def _reweighed(fit: _Rows, judge: _Rows) -> Numbers | None:
    """Return margins of a last layer retrained so that group and label count as if independent.

    Kamiran and Calders, "Data preprocessing techniques for classification without discrimination"
    (2012): a row of group g and label y counts P(g) P(y) / P(g, y).
    """
    if fit.features is None or judge.features is None:
        return None
    groups, labels = fit.cohort.groups, fit.cohort.labels
    joint = np.bincount(groups * 2 + labels, minlength=2 * len(fit.cohort.levels)).reshape(-1, 2)
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True) / joint.sum()
    weights = (expected / np.maximum(joint, 1))[groups, labels]
    mean, std = fit.features.mean(0), fit.features.std(0) + 1e-6
    x = torch.from_numpy((fit.features - mean) / std)
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    wanted, counts = torch.from_numpy(labels).double(), torch.from_numpy(weights)
    values = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            x @ values, wanted, weight=counts
        )
        loss = each + 1e-4 * values[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    found = values.detach().numpy()
    margins: Numbers = ((judge.features - mean) / std) @ found[:-1] + found[-1]
    return margins


def _per_group(case: Case, fit: _Rows, judge: _Rows) -> NDArray[np.bool_]:
    """Return decisions by a threshold for each group, the fairest that keep the limits.

    With two groups all pairs of a grid are tried; with more, one group's after the other.
    """
    count = len(fit.cohort.levels)
    base = torch.from_numpy(fit.cohort.table(np.where(fit.scores > 0.5, fit.cohort.positive, -1)))  # noqa: PLR2004
    grids = [
        np.unique(np.append(np.quantile(fit.scores[fit.cohort.groups == g], _shares()), 0.5))
        for g in range(count)
    ]
    tables = [_tables(fit, g, grids[g]) for g in range(count)]
    chosen = [int(np.searchsorted(grid, 0.5)) for grid in grids]
    pairs = [(0, 1)] if count == 2 else [(g,) for g in range(count)] * 2  # noqa: PLR2004
    for groups in pairs:
        best = np.inf
        start = list(chosen)
        for places in product(*(range(len(grids[g])) for g in groups)):
            trial = list(start)
            for g, place in zip(groups, places, strict=True):
                trial[g] = place
            table = torch.from_numpy(np.stack([tables[g][trial[g]] for g in range(count)]))
            cost = float(case.disparity.gap(table)) + 10 * float(case.limits.violation(table, base))
            if cost < best:
                best, chosen = cost, trial
    limits = np.array([grids[g][chosen[g]] for g in range(count)])
    found: NDArray[np.bool_] = judge.scores > limits[judge.cohort.groups]
    return found


def _shares() -> Numbers:
    return 1 - np.geomspace(0.01, 0.9, _GRID)


def _tables(rows: _Rows, group: int, grid: Numbers) -> list[Numbers]:
    """Return the group's table ``(2, 2)`` at each threshold."""
    inside = rows.cohort.groups == group
    labels, scores = rows.cohort.labels[inside], rows.scores[inside]
    return [
        np.bincount(labels * 2 + (scores > t), minlength=4).reshape(2, 2).astype(np.float64)
        for t in grid
    ]


def _fairlearn(case: Case, fit: _Rows, judge: _Rows) -> Iterator[BaselineResult]:
    """Yield fairlearn's methods; their randomness is seeded.

    Raises:
        ImportError: fairlearn is not there.
    """
    from fairlearn.postprocessing import ThresholdOptimizer
    from fairlearn.reductions import (
        DemographicParity,
        EqualizedOdds,
        ExponentiatedGradient,
        TruePositiveRateParity,
    )
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model import LogisticRegression

    class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """Says the scores that it is asked with."""

        classes_ = np.array([0, 1])

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def fit(self, _x: Numbers, _y: Whole) -> Given:
            """Learn nothing."""
            return self

        def predict_proba(self, x: Numbers) -> Numbers:
            """Return the scores."""
            return np.concatenate([1 - x, x], 1)

        def predict(self, x: Numbers) -> Whole:
            """Return decisions."""
            return (x[:, 0] > 0.5).astype(np.int64)  # noqa: PLR2004

    names = {"dp": "demographic_parity", "eopp": "true_positive_rate_parity"}
    post = ThresholdOptimizer(
        estimator=Given(),
        constraints=cast("Any", names.get(case.disparity.name, "equalized_odds")),
        prefit=True,
        predict_method="predict_proba",
    )
    post.fit(fit.scores[:, None], fit.cohort.labels, sensitive_features=fit.cohort.groups)
    said = post.predict(
        judge.scores[:, None], sensitive_features=judge.cohort.groups, random_state=case.seed
    )
    yield _result(case, judge, "threshold_optimizer", np.asarray(said) == 1, told=True)
    if fit.features is None or judge.features is None:
        return
    moments = {"dp": DemographicParity, "eopp": TruePositiveRateParity}
    reduction = ExponentiatedGradient(
        LogisticRegression(solver="newton-cholesky"),
        moments.get(case.disparity.name, EqualizedOdds)(difference_bound=0.01),
        max_iter=15,
    )
    mean, std = fit.features.mean(0), fit.features.std(0) + 1e-6
    reduction.fit(
        (fit.features - mean) / std, fit.cohort.labels, sensitive_features=fit.cohort.groups
    )
    said = reduction.predict((judge.features - mean) / std, random_state=case.seed)
    yield _result(case, judge, "exponentiated_gradient_last_layer", np.asarray(said) == 1)
