"""What the reader of an audit must know: small groups, labels that are the group, leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata

from dnnrepair.fairness.columns import texts
from dnnrepair.fairness_report import Caution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from dnnrepair.fairness.rows import Attribute, Rows
    from dnnrepair.fairness_report import Measurement

    Numbers = NDArray[np.float64]

_LEAK = 0.99  # area under the curve, above which one column tells the label
_MOST_ROWS = 50_000
_MOST_LEVELS = 50
_WARN_CELL = 100  # rows, below which a rate is uncertain by about ten points


def same_as_label(rows: Rows) -> frozenset[str]:
    """Return the attributes whose groups are the classes of the label."""
    return frozenset(a.name for a in rows.attributes if rows.classes and _same(rows, a))


def cautions(rows: Rows, measured: Measurement, leaks: Sequence[str]) -> Iterator[Caution]:
    """Yield what the reader must know of the data."""
    for name in sorted(same_as_label(rows)):
        yield Caution(
            code="SENSITIVE_IS_LABEL",
            message=f"{name} is the label itself: gaps in selection and error rates mean nothing "
            "there and are not given, only those in accuracy are",
            attribute=name,
        )
    for group in measured.groups:
        crossed = group.attribute not in {a.name for a in rows.attributes}
        if not group.eligible and not crossed:
            yield Caution(
                code="TINY_GROUP",
                message=f"{group.level}: {group.reason}; rates that need these rows are not judged",
                attribute=group.attribute,
                level=group.level,
            )
        elif min(group.n_pos, group.n_neg) < _WARN_CELL and not crossed:
            fewest = min(group.n_pos, group.n_neg)
            yield Caution(
                code="SMALL_GROUP",
                message=f"{group.level}: {fewest:.0f} rows with one of the labels; rates of so few "
                "are uncertain by ten points and more",
                attribute=group.attribute,
                level=group.level,
            )
    for name in leaks:
        yield Caution(
            code="SUSPECT_LEAKAGE",
            message=f"column {name} alone predicts the label almost perfectly (AUC above {_LEAK}): "
            "the label may have leaked into the features",
        )


def leaking(
    frame: pd.DataFrame, names: Sequence[str], labels: NDArray[Any], rng: np.random.Generator
) -> Iterator[str]:
    """Yield the columns that tell a label of two classes nearly alone.

    Args:
        frame: the table.
        names: of the columns that the network reads.
        labels: ``(rows,)`` 0 or 1.
        rng: chooses rows where there are very many.
    """
    places = np.arange(len(frame))
    if len(frame) > _MOST_ROWS:
        places = np.sort(rng.choice(places, _MOST_ROWS, replace=False))
    known = labels[places]
    for name in names:
        if name in frame.columns:
            score = _as_score(frame[name].iloc[places], known)
            if score is not None and abs(_auc(score, known) - 0.5) > _LEAK - 0.5:
                yield name


def _as_score(column: pd.Series[Any], labels: NDArray[Any]) -> Numbers | None:
    """Return numbers as they are, text as the share of positives of its level."""
    if column.dtype.kind in "biuf":
        return np.asarray(np.nan_to_num(column.to_numpy(dtype=np.float64)))
    codes, levels = texts(column)
    if len(levels) > _MOST_LEVELS:
        return None
    codes += 1  # missing values become a level, too
    count = np.bincount(codes, minlength=len(levels) + 1)
    positive = np.bincount(codes, weights=labels, minlength=len(levels) + 1)
    return np.asarray((positive / np.maximum(count, 1))[codes])


def _auc(score: Numbers, labels: NDArray[Any]) -> float:
    """Return the area under the curve from ranks (Mann and Whitney 1947)."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(score)[labels == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _same(rows: Rows, attribute: Attribute) -> bool:
    if len(attribute.levels) != len(rows.classes):
        return False
    pairs = np.zeros((len(attribute.levels), len(rows.classes)), dtype=bool)
    pairs[attribute.codes, rows.labels] = True
    return bool((pairs.sum(axis=0) == 1).all() and (pairs.sum(axis=1) == 1).all())
