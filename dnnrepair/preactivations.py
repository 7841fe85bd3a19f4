"""What reaches an activation: one place per layer, however often its module is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.moments import Moments
from dnnrepair.finding import Skip
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site, Sites

ENOUGH_ROWS = 512  # samples times positions: rules of evidence
GATES = frozenset({"sigmoid", "hardsigmoid"})  # activations that are used to weigh other values
_PRODUCTS = frozenset({"mul", "matmul", "bmm", "einsum"})
_WITH_A_CONSTANT = frozenset({"add", "sub", "rsub", "mul", "div", "neg", "clamp", "mean"})
_ON_THE_WAY = (Kind.AFFINE, Kind.ACTIVATION, Kind.POOL, Kind.NORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An activation and what reaches it, over all calls of the layer before it.

    Attributes:
        site: the activation, of the first call.
        source: the operation that computed its input.
        activity: counts per unit.
        moments: of its input per unit; None if its units are not those of the source.
    """

    site: Site
    source: Site
    activity: Activity
    moments: Moments | None


def preactivations(seen: Observations, code: str, ops: Collection[str]) -> Iterator[Place | Skip]:
    """Yield each place with an activation in ``ops``, or why rule ``code`` cannot judge it."""
    for sites in _same_weights(seen.sites, ops):
        place = _place(seen, sites)
        reason = "its input was not measured" if place is None else _obstacle(place)
        if place is None or reason:
            yield Skip(code=code, reason=reason, layer=sites[0].layer)
        else:
            yield place


def is_output(sites: Sites, site: Site) -> bool:
    """Tell whether a value is what the network returns, views aside."""
    return site.name == sites.output or not sites.readers(site)


def is_gate(sites: Sites, site: Site) -> bool:
    """Tell whether a value weighs another computed value, as in GLU, SiLU or an LSTM cell."""
    return any(_weighs(sites, reader) for reader in sites.readers(site))


def feeds_gate(sites: Sites, site: Site, reach: int = 3) -> bool:
    """Tell whether a value only serves to compute gates, within ``reach`` further operations."""
    readers = sites.readers(site)
    return bool(readers) and all(_is_or_feeds_gate(sites, reader, reach) for reader in readers)


def too_few(rows: int) -> str:
    """Return why so few rows allow no verdict per unit, "" if they do.

    >>> too_few(100)
    '100 rows observed, a verdict per unit needs 512; give more data'
    """
    if rows >= ENOUGH_ROWS:
        return ""
    return f"{rows} rows observed, a verdict per unit needs {ENOUGH_ROWS}; give more data"


def _is_or_feeds_gate(sites: Sites, site: Site, reach: int) -> bool:
    if site.op in GATES:
        return is_gate(sites, site)
    return reach > 0 and site.kind in _ON_THE_WAY and feeds_gate(sites, site, reach - 1)


def _weighs(sites: Sites, reader: Site) -> bool:
    if reader.op in _PRODUCTS and len(reader.inputs) > 1:
        return True
    return reader.op in _WITH_A_CONSTANT and len(reader.inputs) == 1 and is_gate(sites, reader)


def _same_weights(sites: Sites, ops: Collection[str]) -> list[list[Site]]:
    """Return activation sites, those behind calls of the same weights together."""
    groups: dict[object, list[Site]] = {}
    for site in sites.of(Kind.ACTIVATION):
        if site.op in ops:
            source = sites.source(site)
            weights = tuple(sorted(source.tensors.values())) if source else ()
            groups.setdefault((site.op, weights) if weights else site.name, []).append(site)
    return list(groups.values())


def _place(seen: Observations, sites: list[Site]) -> Place | None:
    source = seen.sites.source(sites[0])
    counted = [seen.of(Activity)[site.name] for site in sites if site.name in seen.of(Activity)]
    if source is None or not counted or len({len(found.positive) for found in counted}) > 1:
        return None
    activity = counted[0]
    for more in counted[1:]:
        activity = activity + more
    return Place(
        site=sites[0], source=source, activity=activity, moments=_moments(seen, sites, activity)
    )


def _moments(seen: Observations, sites: list[Site], activity: Activity) -> Moments | None:
    found: Moments | None = None
    for site in sites:
        source = seen.sites.source(site)
        more = seen.of(Moments).get(source.name) if source else None
        if more is None or len(more.mean) != len(activity.positive):
            return None
        found = more if found is None else found + more
    return found


def _obstacle(place: Place) -> str:
    if place.moments is not None and place.moments.nonfinite:
        return "its input holds values that are not finite; see NUM001"
    return too_few(place.activity.count)
