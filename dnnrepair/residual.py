"""Find the residual connections of a network from the shape of its graph alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.sites import Site, Sites

_WORK = (Kind.AFFINE, Kind.ATTENTION, Kind.RECURRENT)
_SHORTCUT = (Kind.VIEW, Kind.POOL, Kind.AFFINE, Kind.NORM, Kind.DROPOUT, Kind.INPUT)
_SHORTCUT_OPS = frozenset({"pad", "constant_pad_nd", "cat", "zeros_like", "zeros", "new_zeros"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """An addition of a branch to what skips it.

    Attributes:
        site: the addition.
        skip: name of the operand that goes around the branch.
        branch: name of the other operand.
        skip_first: the skip is the addition's first operand.
    """

    site: Site
    skip: str
    branch: str
    skip_first: bool


def residuals(sites: Sites) -> tuple[Residual, ...]:
    """Return the residual additions, in execution order.

    An operand skips the other if the other is computed from it by at least one affine, attention
    or recurrent operation, or if both come from one value and it takes a plain path with fewer
    such operations (a downsampling shortcut). Sums with a bias, a positional embedding or an
    attention mask have no such operands.
    """
    upstream = _upstream(sites)
    return tuple(_found(sites, upstream))


def _upstream(sites: Sites) -> dict[str, frozenset[str]]:
    """Return each site with all its ancestors, itself included, by name."""
    found: dict[str, frozenset[str]] = {}
    for site in sites:
        found[site.name] = frozenset({site.name}).union(*(found[name] for name in site.inputs))
    return found


def _found(sites: Sites, upstream: dict[str, frozenset[str]]) -> Iterator[Residual]:
    for site in sites.of(Kind.ADD):
        if len(site.inputs) != 2 or any(sites[n].shape != site.shape for n in site.inputs):  # noqa: PLR2004 - operands
            continue
        first, second = site.inputs
        for skip, branch in ((first, second), (second, first)):
            if _skips(sites, upstream, skip, branch) or _cuts(sites, upstream, skip, branch):
                yield Residual(site=site, skip=skip, branch=branch, skip_first=skip == first)
                break


def _skips(sites: Sites, upstream: dict[str, frozenset[str]], skip: str, branch: str) -> bool:
    """Tell whether the branch is computed from the skip itself."""
    source = _seen_through(sites, skip)
    if source not in upstream[branch]:
        return False
    between = upstream[branch] - upstream[source]
    return any(sites[n].kind in _WORK and source in upstream[n] for n in between)


def _cuts(sites: Sites, upstream: dict[str, frozenset[str]], skip: str, branch: str) -> bool:
    """Tell whether the skip is a plain, shorter path from where the branch begins too."""
    shared = upstream[skip] & upstream[branch]
    short, long = upstream[skip] - shared, upstream[branch] - shared
    if not shared or not short:
        return False
    work = [name for name in short if sites[name].kind in _WORK]
    plain = all(
        sites[n].kind in _SHORTCUT or sites[n].op in _SHORTCUT_OPS or not sites[n].shape
        for n in short
    )
    longer = sum(sites[n].kind in _WORK for n in long) > len(work)
    return plain and longer and len(work) <= 1 and not _shared_weights(sites, work)


def _shared_weights(sites: Sites, names: list[str]) -> bool:
    """Tell whether other calls use the same weights: a hand-written recurrence, no shortcut."""
    weights = {tensor for name in names for tensor in sites[name].tensors.values()}
    return any(s.name not in names and weights & set(s.tensors.values()) for s in sites)


def _seen_through(sites: Sites, name: str) -> str:
    site = sites[name]
    while site.kind in (Kind.VIEW, Kind.DROPOUT) and site.inputs:
        site = sites[site.inputs[0]]
    return site.name
