"""GEN001: a generator that makes the same few things."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.generated import Generated
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations


@rule("GEN001")
@dataclass(frozen=True, slots=True)
class GeneratorCollapse:
    """Generator whose samples vary less than the data ("Helvetica").

    ## What it measures
    For as many generated samples as real ones: the median distance between two of them, the
    effective rank of their covariance, both over the same number of the real samples, and the share
    of generated samples that (nearly) repeat another one.

    ## Why it matters
    The generator maps many latent values to the same output; whatever it leaves out is lost to
    everybody who uses its samples.

    ## What to do
    Train on with a loss that sees whole batches (minibatch discrimination, an energy distance),
    with more steps for the discriminator, or with a gradient penalty.

    ## Limits
    Trained generators only, given with ``--task generate``, latents as inputs and real samples as
    targets. Distances are Euclidean, on raw numbers; a few samples missing among many are not seen.

    ## Source
    Goodfellow et al. 2014, arXiv:1406.2661, section 6. The reference generator over 4 seeds: median
    distance at least 1.1 times that of the data, rank at least 1.2 times, no repeats; collapsed to
    5 outputs: rank at most 0.23, all repeats; latents scaled by 0.2: distance at most 0.29.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "generator-collapse"
    needs: ClassVar[frozenset[type]] = frozenset({Generated})
    wants: ClassVar[frozenset[type]] = frozenset()
    warn_distance: float = 0.6  # of the data's median distance, above 0
    error_distance: float = 0.3  # of the data's median distance, above 0
    warn_rank: float = 0.5  # of the data's effective rank, above 0
    error_rank: float = 0.25  # of the data's effective rank, above 0
    warn_repeats: float = 0.1  # share of samples, in [0, 1]
    error_repeats: float = 0.5  # share of samples, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding about the generator."""
        found = seen.whole(Generated)
        reason = _obstacle(found, seen)
        if found is None or reason:
            yield Skip(code=self.code, reason=reason)
            return
        distance = found.distance / found.real_distance
        rank = found.rank / found.real_rank
        readings = (  # how many times over the limit, in order of what says most
            (self.warn_repeats, self.error_repeats, found.repeats, "share", _REPEATS),
            (-self.warn_distance, -self.error_distance, -distance, "1", _DISTANCE),
            (-self.warn_rank, -self.error_rank, -rank, "1", _RANK),
        )
        broken = [reading for reading in readings if reading[2] > reading[0]]
        if not broken:
            return
        broken.sort(key=lambda reading: reading[2] <= reading[1])  # errors first
        warn, error, value, unit, words = broken[0]
        last = seen.sites[seen.sites.output] if seen.sites.output else None
        yield Finding(
            code=self.code,
            severity=Severity.ERROR if value > error else Severity.WARNING,
            layer=last.layer if last else "",
            message=words.format(abs(value)),
            measured=abs(value),
            limit=abs(warn),
            healthy="distance and rank at least as large as the data's, no repeats",
            unit=unit,
            where=last.where if last else None,
            site=last.name if last else "",
            evidence=(
                f"median distance {found.distance:.3g}, of real samples {found.real_distance:.3g}",
                f"effective rank {found.rank:.3g}, of real samples {found.real_rank:.3g}",
                f"{found.repeats:.1%} of {found.samples} samples repeat another one",
            ),
            remedies=(
                Remedy(
                    advice="Train on with a loss that compares whole batches, such as the energy "
                    "distance added to the generator's loss.",
                    code="import torch\n"
                    "def energy(made, real):\n"
                    "    made, real = made.flatten(1), real.flatten(1)\n"
                    "    apart = torch.cdist(made, made).mean()\n"
                    "    return 2 * torch.cdist(made, real).mean() - apart",
                ),
            ),
        )


_REPEATS = "{:.1%} of the generated samples repeat another one"
_DISTANCE = "generated samples are {:.3g} times as far apart as real ones"
_RANK = "generated samples span {:.3g} times as many directions as real ones"


def _obstacle(found: Generated | None, seen: Observations) -> str:
    if found is None:
        return "no samples were generated"
    if seen.facts.phase is not Phase.TRAINED:
        return "an untrained generator varies little"
    if not found.real_distance > 0 or not found.real_rank > 0:
        return "the real samples do not vary"
    if not math.isfinite(found.distance) or not math.isfinite(found.rank):
        return "generated samples are not finite; see NUM001"
    return ""
