"""What a network answers to the same person with another sensitive attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dnnrepair.fairness.columns import MISSING_LEVEL
from dnnrepair.fairness.intervals import wilson
from dnnrepair.fairness_report import Estimate, Individual

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from dnnrepair.auditing.encoding import Encoder, Inputs
    from dnnrepair.auditing.tables import AuditTable
    from dnnrepair.fairness.rows import Attribute

    Numbers = NDArray[np.float64]
    # of inputs: decisions (rows,), None for values; and scores (rows, classes), or values (rows, 1)
    Answer = Callable[[Inputs], tuple[NDArray[Any] | None, Numbers]]

MOST_ROWS = 20_000
_FEW = 2


def individual(
    table: AuditTable,
    attribute: Attribute,
    encoder: Encoder,
    answer: Answer,
    rng: np.random.Generator,
) -> Individual:
    """Return how often and how far predictions change with the attribute alone.

    The attribute is rewritten in the table, before it is encoded, so that a one-hot block changes
    as a whole. All other columns stay as they are.

    Args:
        table: the rows.
        attribute: which, with a level for each row.
        encoder: makes inputs of rows.
        answer: what the network decides and how it scores.
        rng: chooses rows where there are very many.
    """
    if table.inputs is not None:
        return _not_measured(attribute, "the inputs are encoded already, and not by name")
    levels = raw_levels(table.frame, attribute)
    if len(levels) < _FEW:
        return _not_measured(attribute, "its groups are ranges or merged, not single values")
    places = np.arange(len(table.frame))
    if len(places) > MOST_ROWS:
        places = np.sort(rng.choice(places, MOST_ROWS, replace=False))
    rows = table.at(places).frame
    original = encoder.encode(rows, table.name)
    decided, scored = answer(original)
    flipped = np.zeros(len(rows), dtype=bool)
    furthest = np.zeros(len(rows))
    changed = False
    for raw in levels:
        inputs = encoder.encode(rewritten(rows, attribute, raw), table.name)
        changed |= not np.array_equal(inputs, original)
        other, scores = answer(inputs)
        if decided is not None and other is not None:
            flipped |= other != decided
        furthest = np.maximum(furthest, np.abs(scores - scored).max(axis=1))
    if not changed:
        return _not_measured(attribute, "it is no input of the network")
    return Individual(
        attribute=attribute.name,
        flip_rate=None if decided is None else _share(flipped),
        independence=_mean(furthest),
        rows=len(rows),
    )


def _not_measured(attribute: Attribute, reason: str) -> Individual:
    return Individual(attribute=attribute.name, reason=reason)


def raw_levels(frame: pd.DataFrame, attribute: Attribute) -> list[Any]:
    """Return a value as it stands in the table for each level that is one value."""
    if len(attribute.columns) > 1:
        return list(attribute.columns)
    name = "".join(attribute.columns)  # the only one
    found: list[Any] = []
    for place, level in enumerate(attribute.levels):
        if level == MISSING_LEVEL:
            continue
        here = np.flatnonzero(attribute.codes == place)
        values = frame[name].iloc[here]
        if len(here) and values.notna().all():
            if len({str(value).strip() for value in values.unique()}) > 1:
                return []
            found.append(values.iloc[0])
    return found


def rewritten(rows: pd.DataFrame, attribute: Attribute, raw: Any) -> pd.DataFrame:  # noqa: ANN401
    """Return rows whose attribute has that value, or that column of its block, everywhere."""
    if len(attribute.columns) == 1:
        return rows.assign(**dict.fromkeys(attribute.columns, raw))
    return rows.assign(**{name: int(name == raw) for name in attribute.columns})


def _share(found: NDArray[np.bool_]) -> Estimate:
    hits, tries = float(found.sum()), float(len(found))
    low, high = wilson(np.array(hits), np.array(tries))
    return Estimate(
        id="flip_rate", value=hits / tries, low=float(low), high=float(high), count=tries
    )


def _mean(found: Numbers) -> Estimate:
    mean = float(found.mean())
    half = 1.959964 * float(found.std()) / np.sqrt(len(found))
    return Estimate(
        id="independence",
        value=mean,
        low=float(max(mean - half, 0.0)),
        high=float(mean + half),
        count=len(found),
    )
