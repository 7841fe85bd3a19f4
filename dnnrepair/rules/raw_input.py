"""DAT001: inputs that are not normalized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.moments import Moments
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site, Sites

    Floats = NDArray[np.float64]

_DIRECT = (Kind.AFFINE, Kind.RECURRENT, Kind.ACTIVATION, Kind.POOL, Kind.ADD, Kind.ATTENTION)
CONSTANT = 1e-9  # of the feature's size: below, it does not vary
MARGIN = 0.05  # that a range may exceed [0, 1] or [-1, 1] by
SHOWN = 32  # numbers that a remedy spells out


@rule("DAT001")
@dataclass(frozen=True, slots=True)
class RawInput:
    """Inputs whose scale makes learning hard.

    ## What it measures
    Mean, standard deviation and range of each input over all data, per channel of images. Values
    in [0, 1] or [-1, 1] are accepted; others must have a mean of at most 1.5 standard deviations, a
    standard deviation in [0.1, 10] and no value beyond 50. Between features, the largest standard
    deviation over that of the lower quartile must stay below 1000. Constant features are noted.

    ## Why it matters
    Large or shifted inputs saturate the first layer and make its gradients dwarf all others; a
    feature that is a thousand times the others hides them.

    ## What to do
    Subtract the mean, divide by the standard deviation, with numbers from the training data; for a
    trained network, fold both into the first layer, which changes no prediction.

    ## Limits
    Token ids are examined by EMB001. An input that the network itself transforms or normalizes
    first is left out. Features that hardly ever vary are compared with the lower quartile, not with
    the smallest: rare pixels are healthy.

    ## Source
    LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp, section 4.3.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "raw-input"
    needs: ClassVar[frozenset[type]] = frozenset({Moments})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_mean: float = 1.5  # magnitude of the mean, in standard deviations
    min_std: float = 0.1  # above 0
    max_std: float = 10.0  # above min_std
    max_value: float = 50.0  # largest magnitude
    max_ratio: float = 1e3  # standard deviations of the widest feature and of the lower quartile

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per input out of scale, and a note per input with constant features."""
        for site in seen.sites.of(Kind.INPUT):
            moments = seen.of(Moments).get(site.name)
            reason = _obstacle(seen.sites, site, moments)
            if moments is None or reason:
                yield Skip(code=self.code, reason=f"input {site.name!r} {reason}")
                continue
            faults = tuple(self._faults(site, moments))
            if faults:
                yield self._finding(seen, site, moments, faults)
            yield from self._constant(site, moments)

    def _faults(self, site: Site, moments: Moments) -> Iterator[tuple[float, float, str]]:
        """Yield measured value, limit and words per limit that is broken."""
        means, stds, lows, highs, label = _judged(site, moments)
        for unit, (mean, std, low, high) in enumerate(zip(means, stds, lows, highs, strict=True)):
            if std <= CONSTANT * max(abs(low), abs(high)) or _in_unit_range(low, high):
                continue
            where = f" of channel {unit}" if label else ""
            if abs(mean) > self.max_mean * std:
                yield abs(mean) / std, self.max_mean, f"mean{where} is {mean / std:.3g} stds from 0"
            if not self.min_std <= std <= self.max_std:
                limit = self.min_std if std < self.min_std else self.max_std
                yield std, limit, f"standard deviation{where} is {std:.3g}"
            if max(-low, high) > self.max_value:
                yield max(-low, high), self.max_value, f"values{where} span {low:.3g} to {high:.3g}"
        yield from self._uneven(moments)

    def _uneven(self, moments: Moments) -> Iterator[tuple[float, float, str]]:
        varying = moments.std > CONSTANT * _size(moments)
        if varying.sum() < 2 or _in_unit_range(moments.low.min(), moments.high.max()):  # noqa: PLR2004
            return
        stds = np.where(varying, moments.std, 0)
        usual = float(np.quantile(stds[varying], 0.25, method="lower"))
        ratio = float(stds.max()) / usual
        if ratio > self.max_ratio:
            said = f"feature {int(stds.argmax())} varies {ratio:.3g} times as much as the others"
            yield ratio, self.max_ratio, said

    def _finding(
        self,
        seen: Observations,
        site: Site,
        moments: Moments,
        faults: tuple[tuple[float, float, str], ...],
    ) -> Finding:
        measured, limit, said = faults[0]
        hint = "values look like bytes; divide by 255" if _like_bytes(moments) else ""
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=site.layer,
            message=f"input {site.name!r} is not normalized: {said}",
            measured=measured,
            limit=limit,
            healthy="in [0, 1] or [-1, 1], or mean 0 and standard deviation 1 within limits",
            where=site.where,
            site=site.name,
            evidence=(
                *(words for _, _, words in faults[1:8]),
                _summary(moments),
                *([hint] if hint else []),
            ),
            remedies=_remedies(seen, site, moments),
        )

    def _constant(self, site: Site, moments: Moments) -> Iterator[Finding]:
        flat = moments.std <= CONSTANT * _size(moments)
        if flat.any() and moments.count > 1:
            units = tuple(np.flatnonzero(flat).tolist())
            yield Finding(
                code=self.code,
                severity=Severity.NOTE,
                layer=site.layer,
                message=f"{len(units)} of {len(flat)} features of input {site.name!r} are constant",
                measured=float(len(units)),
                limit=0.0,
                healthy="every feature varies",
                unit="features",
                where=site.where,
                site=site.name,
                units=units,
            )


def _obstacle(sites: Sites, site: Site, moments: Moments | None) -> str:
    if moments is None:
        return "was not measured"
    if moments.nonfinite:
        return "holds values that are not finite; see NUM001"
    kinds = {reader.kind for reader in sites.readers(site)}
    if Kind.EMBEDDING in kinds:
        return "holds token ids; see EMB001"
    if kinds and not kinds & set(_DIRECT):
        return "is normalized or transformed by the network before its first layer"
    return ""


def _judged(site: Site, moments: Moments) -> tuple[Floats, Floats, Floats, Floats, bool]:
    """Return mean, std, lowest and highest per channel of images, else of all features."""
    if site.unit_dim == 1 and len(site.shape) > 2:  # noqa: PLR2004 - (batch, channels, *space)
        return moments.mean, moments.std, moments.low, moments.high, len(moments.mean) > 1
    pooled = (moments.pooled_mean, moments.pooled_std, moments.low.min(), moments.high.max())
    mean, std, low, high = (np.array([value]) for value in pooled)
    return mean, std, low, high, False


def _in_unit_range(low: float, high: float) -> bool:
    return high <= 1 + MARGIN and low >= -1 - MARGIN


def _like_bytes(moments: Moments) -> bool:
    return bool(moments.low.min() >= 0 and 100 < moments.high.max() <= 255)  # noqa: PLR2004


def _summary(moments: Moments) -> str:
    return (
        f"mean {moments.pooled_mean:.4g}, standard deviation {moments.pooled_std:.4g}, "
        f"range {moments.low.min():.4g} to {moments.high.max():.4g}"
    )


def _size(moments: Moments) -> Floats:
    return np.maximum(np.abs(moments.low), np.abs(moments.high))


def _remedies(seen: Observations, site: Site, moments: Moments) -> tuple[Remedy, ...]:
    advice = "Normalize the inputs with mean and standard deviation of the training data and train."
    found = [Remedy(advice=advice)]
    first = next((r for r in seen.sites.readers(site) if r.op == "linear"), None)
    plain = len(site.shape) == 2 and first is not None and not first.settings.get("transposed")  # noqa: PLR2004
    if plain and first is not None and len(moments.mean) <= SHOWN and "bias" in first.tensors:
        std = np.where(moments.std > 0, moments.std, 1)
        found.append(
            Remedy(
                advice="Or keep the weights: feed (x - mean) / std and fold both into the first "
                "layer, which changes no prediction.",
                code=f"import torch\n\nmean = torch.tensor({_numbers(moments.mean)})\n"
                f"std = torch.tensor({_numbers(std)})\n"
                f"weight = model.get_parameter({first.tensors['weight']!r})\n"
                f"bias = model.get_parameter({first.tensors['bias']!r})\n"
                "with torch.no_grad():\n    bias += weight @ mean.to(weight)\n"
                "    weight *= std.to(weight)",
            )
        )
    return tuple(found)


def _numbers(values: Floats) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
