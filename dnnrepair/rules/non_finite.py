"""NUM001: numbers that are NaN or infinite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import reader
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Role
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations, TensorInfo
    from dnnrepair.sites import Site, Sites

SHOWN = 8  # further places that are named

_REMEDIES = (
    Remedy(advice="Go back to the last checkpoint whose numbers are all finite; never only zero."),
    Remedy(
        advice="Find the cause before training on: a learning rate too high, log or division of 0, "
        "float16 overflow (largest number 65504).",
        code="import torch\n\n"
        "torch.autograd.set_detect_anomaly(True)  # names the operation that makes NaN in backward",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    position: float  # in execution order; tensors come just before the operation that reads them
    layer: str
    site: Site | None
    count: int
    said: str


@rule("NUM001")
@dataclass(frozen=True, slots=True)
class NonFinite:
    """Numbers that are NaN or infinite, in weights, values or gradients.

    ## What it measures
    Every parameter and buffer; the values of every layer over all data; the gradients of a few
    batches. The first bad place in execution order is reported, the others are its evidence.

    ## Why it matters
    NaN spreads: whatever is computed from it is NaN too. Nothing downstream means anything.

    ## What to do
    Restore the last good checkpoint. Then find the cause: a learning rate too high, the logarithm
    of zero, an overflow of float16. Writing zeros over the NaN hides it.

    ## Limits
    Masks hold minus infinity on purpose: buffers of minus infinity, and sums that only a softmax
    reads, are left out. Values between layers are seen at layers, sums and activations only.

    ## Source
    torch.autograd.detect_anomaly; Amazon SageMaker Debugger, rule ExplodingTensor.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "non-finite"
    needs: ClassVar[frozenset[type]] = frozenset({TensorSummary})
    wants: ClassVar[frozenset[type]] = frozenset({Moments, Gradient})

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding, at the first place that is not finite."""
        places = sorted(
            (*_in_tensors(seen), *_in_values(seen), *_in_gradients(seen)), key=lambda p: p.position
        )
        if not places:
            return
        first, rest = places[0], places[1:]
        evidence = [f"then {place.said}" for place in rest[:SHOWN]]
        if len(rest) > SHOWN:
            evidence.append(f"and {len(rest) - SHOWN} more places")
        yield Finding(
            code=self.code,
            severity=Severity.ERROR,
            layer=first.layer,
            message=f"first {first.said}",
            measured=float(first.count),
            limit=0.0,
            healthy="none",
            unit="numbers",
            where=first.site.where if first.site else None,
            site=first.site.name if first.site else "",
            evidence=tuple(evidence),
            remedies=_REMEDIES,
        )


def _in_tensors(seen: Observations) -> Iterator[_Place]:
    for place, (name, summary) in enumerate(seen.of(TensorSummary).items()):
        info = seen.tensors[name]
        if not summary.nonfinite or _is_mask(info, summary):
            continue
        site = reader(seen, info)
        kinds = f"{summary.nans} NaN, {summary.infinite} infinite"
        at = f", the first at {summary.first}" if summary.first else ""
        yield _Place(
            position=seen.sites.position(info.site) - 0.5 if site else len(seen.tensors) + place,
            layer=site.layer if site else info.layer,
            site=site,
            count=summary.nonfinite,
            said=f"{name!r} holds {summary.nonfinite} of {summary.count} numbers that are not "
            f"finite ({kinds}{at})",
        )


def _is_mask(info: TensorInfo, summary: TensorSummary) -> bool:
    only_negative = summary.nonfinite == summary.negative_infinite
    return info.role is Role.OTHER and only_negative and not info.trainable


def _in_values(seen: Observations) -> Iterator[_Place]:
    for name, moments in seen.of(Moments).items():
        site = seen.sites[name]
        if not moments.nonfinite or _is_masked(seen.sites, site):
            continue
        what = "the data hold" if site.kind is Kind.INPUT else f"{site.op} of {site.layer!r} gives"
        yield _Place(
            position=seen.sites.position(name),
            layer=site.layer,
            site=site,
            count=moments.nonfinite,
            said=f"{what} {moments.nonfinite} values that are not finite",
        )


def _is_masked(sites: Sites, site: Site) -> bool:
    """Tell whether only softmax reads a sum, perhaps through further sums: it may hold a mask."""
    readers = sites.readers(site)
    return bool(readers) and all(
        reader.kind is Kind.SOFTMAX or (reader.kind is Kind.ADD and _is_masked(sites, reader))
        for reader in readers
    )


def _in_gradients(seen: Observations) -> Iterator[_Place]:
    for place, (name, gradient) in enumerate(seen.of(Gradient).items()):
        if not gradient.nonfinite:
            continue
        info = seen.tensors.get(name)
        site = seen.sites[info.site] if info and info.site in seen.sites else None
        site = seen.sites[name] if site is None and name in seen.sites else site
        yield _Place(
            position=2.0 * (len(seen.sites.sequence) + len(seen.tensors)) + place,
            layer=site.layer if site else info.layer if info else "",
            site=site,
            count=gradient.nonfinite,
            said=f"the gradient of {name!r} holds {gradient.nonfinite} numbers that are not finite",
        )
