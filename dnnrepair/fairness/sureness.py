"""How sure a metric's value is, and what it would be by chance alone.

The percentiles of a resampled gap are no interval of it: a gap is never negative, so that
resampling only widens it, and 0 is never inside. Instead the errors of the coordinates are
resampled. A gap is a seminorm of them, hence |gap - true gap| is at most the gap of the errors, and
the 95th percentile of that is how far the true gap may lie away.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.fairness.counts import one_vs_rest
from dnnrepair.fairness.intervals import newcombe, wilson
from dnnrepair.fairness.metric import TWO_CLASSES, WHOLE_TABLE
from dnnrepair.fairness.rates import NAMES, hits_and_tries, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.fairness.metric import Metric
    from dnnrepair.fairness.resampling import Source

    Numbers = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ALPHA = 0.05
_FEW_TRIES, _FEW_HITS = 100, 10  # below which resampling understates what is not seen
_NOISE_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sure:
    """A value and how sure it is.

    Attributes:
        value: NaN if undefined.
        low: lower end of the 95 % interval.
        high: upper end.
        noise_floor: its mean if all groups were alike, NaN if that has no meaning.
        method: "bootstrap", or "score" where cells are too small for that.
    """

    value: float
    low: float = nan
    high: float = nan
    noise_floor: float = nan
    method: str = ""


def sureness(
    metric: Metric,
    source: Source,
    known: Mask,
    effective: Numbers,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    mean: bool = False,
) -> Sure:
    """Return a metric's value with its interval and noise floor.

    Args:
        metric: which.
        source: its table of counts, and what redraws it.
        known: ``(rates, groups)`` whether a group has enough rows for a rate.
        effective: ``(groups,)`` what one unit of weight in the table counts as rows, 1 without
            weights (Kish 1965).
        rng: draws.
        draws: of the bootstrap.
        mean: over the classes, where there are more than two.
    """
    point = _masked(metric.coordinates(source.table), known, metric)
    size = metric.size(point, mean=mean)
    value = float(metric.shown(size))
    if np.isnan(value):
        return Sure(value=nan)
    counted = _counted(metric, source.table, effective, known)
    noise = nan if metric.level else _noise(metric, counted, rng, mean=mean)
    if counted is not None and _few(*counted):
        low, high = _score(metric, *counted, mean=mean)
        return Sure(value=value, low=low, high=high, noise_floor=noise, method="score")
    errors = _errors(metric, source, point, known, rng, draws, mean=mean)
    if np.isnan(noise) and not metric.level:
        noise = float(metric.shown(np.asarray(errors.mean())))
    far = float(np.quantile(errors, 1 - ALPHA))
    ends = [float(metric.shown(np.asarray(s))) for s in (max(float(size) - far, 0.0), size + far)]
    most = np.inf if counted is None else 1.0  # what is made of shares is none itself above 1
    return Sure(
        value=value,
        low=min(ends),
        high=min(max(ends), most),
        noise_floor=noise,
        method="bootstrap",
    )


def _masked(coordinates: Numbers, known: Mask, metric: Metric) -> Numbers:
    """Return the coordinates, NaN where a group has too few rows for a rate."""
    if not metric.rates:
        return coordinates
    return np.where(known[:, None, :], coordinates, np.nan)


def _errors(
    metric: Metric,
    source: Source,
    point: Numbers,
    known: Mask,
    rng: np.random.Generator,
    draws: int,
    *,
    mean: bool,
) -> Numbers:
    """Return by how much resampled coordinates can move the size, ``(draws,)`` without NaN."""
    found = []
    for tables in source.draws(draws, rng):
        drawn = _masked(metric.coordinates(tables), known, metric)
        with np.errstate(invalid="ignore"):
            found.append(metric.reach(drawn - point, mean=mean))
    errors = np.concatenate(found)
    errors = errors[np.isfinite(errors)]
    return errors if errors.size else np.array([np.inf])


def _counted(
    metric: Metric, table: Numbers, effective: Numbers, known: Mask
) -> tuple[Numbers, Numbers] | None:
    """Return hits and tries ``(rates, classes, groups)``, None if they are no shares of rows."""
    if metric.table != "confusion" or not metric.rates or set(metric.rates) - set(NAMES):
        return None
    parts = []
    for name in metric.rates:
        whole = name in WHOLE_TABLE or table.shape[-1] == TWO_CLASSES
        shown = table[None] if whole else one_vs_rest(table)
        parts.append(np.stack(hits_and_tries(name, shown)))
    hits, tries = np.stack(parts, axis=1) * effective
    masked = known[:, None, :]
    return np.where(masked, hits, 0.0), np.where(masked, tries, 0.0)


def _few(hits: Numbers, tries: Numbers) -> bool:
    some = tries > 0
    rare = np.minimum(hits, tries - hits) < _FEW_HITS
    return bool((some & (rare | (tries < _FEW_TRIES))).any())


def _noise(
    metric: Metric,
    counted: tuple[Numbers, Numbers] | None,
    rng: np.random.Generator,
    *,
    mean: bool,
) -> float:
    """Return the mean value of groups of these sizes that all have the pooled rates."""
    if counted is None:
        return nan
    hits, tries = counted
    pooled = np.nan_to_num(share(hits.sum(axis=-1), tries.sum(axis=-1)))[..., None]
    whole = np.rint(tries).astype(np.int64)
    drawn = rng.binomial(whole, np.clip(pooled, 0, 1), size=(_NOISE_DRAWS, *whole.shape))
    rates = share(drawn.astype(np.float64), np.broadcast_to(whole, drawn.shape).astype(np.float64))
    if metric.ratio:
        with np.errstate(divide="ignore"):
            rates = np.log(rates)
    values = metric.shown(metric.size(rates, mean=mean))
    return float(np.nanmean(values)) if np.isfinite(values).any() else nan


def _score(metric: Metric, hits: Numbers, tries: Numbers, *, mean: bool) -> tuple[float, float]:
    """Return an interval from score intervals that hold together (Bonferroni)."""
    groups = int((tries > 0).any(axis=(0, 1)).sum())
    comparisons = hits.shape[0] * hits.shape[1]
    if metric.level or metric.ratio:
        low, high = wilson(hits, tries, ALPHA / (comparisons * max(groups, 1)))
        return _box(metric, low, high, tries > 0)
    pairs = max(groups * (groups - 1) // 2, 1)
    ends = _pairwise(hits, tries, ALPHA / (comparisons * pairs))
    least, most = (float(metric.folded(end, mean=mean)) for end in ends)
    return least, most


def _box(metric: Metric, low: Numbers, high: Numbers, some: Mask) -> tuple[float, float]:
    """Return the smallest and largest value where each rate lies in its interval."""
    lowest, highest = low[some].min(), high[some].max()
    if metric.level:
        return float(lowest), float(high[some].min())
    best = high[some].min() / max(low[some].max(), 1e-12)
    return float(lowest / highest), float(min(1.0, best))


def _pairwise(hits: Numbers, tries: Numbers, alpha: float) -> tuple[Numbers, Numbers]:
    """Return the least and the most ``(rates, classes)`` that the gap of each rate can be."""
    first = (hits[..., :, None], hits[..., None, :])
    second = (tries[..., :, None], tries[..., None, :])
    low, high = newcombe(first, second, alpha)
    usable = (second[0] > 0) & (second[1] > 0) & ~np.eye(hits.shape[-1], dtype=bool)
    least = np.where(usable, np.maximum(np.maximum(low, -high), 0.0), 0.0)
    most = np.where(usable, np.maximum(high, -low), 0.0)
    return least.max(axis=(-2, -1)), most.max(axis=(-2, -1))
