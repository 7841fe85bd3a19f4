"""Methods of fairlearn, on a network's scores and on what enters its last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.debiasing.scored import Scored
    from dnnrepair.fairness.case import Case

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Decided = tuple[str, NDArray[np.bool_], bool]


def decided(case: Case, fit: Scored, judge: Scored) -> Iterator[Decided]:
    """Yield each method's name, its decisions ``(n,)``, and whether it must be told the group.

    Their randomness is seeded.

    Args:
        case: the objective and the seed.
        fit: rows that the methods are fitted to.
        judge: rows that are decided.

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
    yield "threshold_optimizer", np.asarray(said) == 1, True
    features = fit.standard(judge)
    if features is None:
        return
    moments = {"dp": DemographicParity, "eopp": TruePositiveRateParity}
    reduction = ExponentiatedGradient(
        LogisticRegression(solver="newton-cholesky"),
        moments.get(case.disparity.name, EqualizedOdds)(difference_bound=0.01),
        max_iter=15,
    )
    reduction.fit(features[0], fit.cohort.labels, sensitive_features=fit.cohort.groups)
    said = reduction.predict(features[1], random_state=case.seed)
    yield "exponentiated_gradient_last_layer", np.asarray(said) == 1, False
