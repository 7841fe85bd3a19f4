"""ATT001: attention heads that do nothing of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.heads import Heads, HeadUse
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

MIN_QUERIES = 64  # fewer allow no statement about a head


@rule("ATT001")
@dataclass(frozen=True, slots=True)
class DegenerateHeads:
    """Attention heads that do nothing of their own.

    ## What it measures
    Per head, on up to 512 samples: the standard deviation of its output over the layer's largest
    (confirmed by holding the head at its mean: the loss must not change); its slice of the output
    projection over the layer's mean; the entropy of its attention over that of a uniform choice
    among the keys it may attend to; the correlation of its output with another head's.

    ## Why it matters
    An idle, uniform, one-hot or copied head costs time and memory and adds nothing.

    ## What to do
    Prune it, or draw its query, key and value weights anew and train on; one-hot heads call for
    the scale 1/sqrt(d) or normalized queries and keys.

    ## Limits
    Trained networks only: fresh heads are nearly uniform. A note below a quarter of the layer's
    heads, not counting those without which the loss changes. A head that only attends to the first
    token is a note (an attention sink). Hand-written attention that folds heads into the batch is
    judged as one head.

    ## Source
    Michel, Levy and Neubig 2019, arXiv:1905.10650; Xiao et al. 2023, arXiv:2309.17453. Healthy
    heads: spread at least 0.197 of the largest, entropy 0.39 to 0.948.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "degenerate-heads"
    needs: ClassVar[frozenset[type]] = frozenset({Heads})
    wants: ClassVar[frozenset[type]] = frozenset({HeadUse})
    min_spread: float = 0.05  # of the layer's most varied head, in [0, 1]
    min_written: float = 1e-3  # of the layer's mean slice of the output projection, above 0
    min_entropy: float = 0.02  # of a uniform choice, in [0, 1]
    max_entropy: float = 0.999  # of a uniform choice, in [0, 1]
    max_correlation: float = 0.999  # between two heads, in [0, 1]
    max_sink: float = 0.95  # attention mass on the first key, in [0, 1]
    max_harmless: float = 1e-4  # change of the loss without the head, above 0
    warn_share: float = 0.25  # of the layer's heads, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding per attention."""
        if seen.of(Heads) and seen.facts.phase is not Phase.TRAINED:
            yield Skip(code=self.code, reason="fresh heads are nearly uniform")
            return
        for name, heads in seen.of(Heads).items():
            site = seen.sites[name]
            if not (np.isfinite(heads.products).all() and np.isfinite(heads.entropy).all()):
                reason = "the outputs of its heads are not finite; see NUM001"
                yield Skip(code=self.code, reason=reason, layer=site.layer)
            elif heads.queries < MIN_QUERIES:
                reason = f"{heads.queries} queries with a choice of keys, {MIN_QUERIES} needed"
                yield Skip(code=self.code, reason=reason, layer=site.layer)
            else:
                yield from self._judge(site, heads, seen.of(HeadUse).get(name))

    def _judge(self, site: Site, heads: Heads, use: HeadUse | None) -> Iterator[Finding]:
        faults = self._faults(heads, use)
        sinks = np.flatnonzero(heads.mean_sink > self.max_sink).tolist()
        bad = tuple(sorted(set().union(*faults.values())))
        if not bad and not sinks:
            return
        count = len(heads.entropy)
        share = len(set(bad) - self._missed(use)) / count
        words = [f"{_list(found)} {what}" for what, found in faults.items() if found]
        if sinks:
            words.append(f"{_list(sinks)} attends to the first token only")
        kind = "cross-attention" if heads.crossed else "attention"
        said = f"{len(bad)} of {count} heads of this {kind} do nothing of their own"
        yield Finding(
            code=self.code,
            severity=Severity.WARNING if bad and share >= self.warn_share else Severity.NOTE,
            layer=site.layer,
            message=said if bad else f"{len(sinks)} of {count} heads are attention sinks",
            measured=share,
            limit=self.warn_share,
            healthy="spread at least 0.197 of the largest, entropy 0.39 to 0.948",
            unit="share",
            where=site.where,
            site=site.name,
            units=bad or tuple(sinks),
            evidence=(*words, *_ablations(use)),
            remedies=_remedies(site, bad),
        )

    def _faults(self, heads: Heads, use: HeadUse | None) -> Mapping[str, list[int]]:
        entropy = heads.mean_entropy
        return {
            "hardly varies": self._idle(heads),
            "is not read by the output projection": self._unwritten(heads, use),
            "attends to one key": np.flatnonzero(entropy < self.min_entropy).tolist(),
            "attends to all keys alike": np.flatnonzero(entropy > self.max_entropy).tolist(),
            "repeats another head": self._copies(heads),
        }

    def _idle(self, heads: Heads) -> list[int]:
        spread = heads.std
        idle = np.flatnonzero(spread <= self.min_spread * spread.max(initial=0))
        return [int(head) for head in idle if spread[head] < max(spread.max(initial=0), 1e-30)]

    def _missed(self, use: HeadUse | None) -> set[int]:
        """Return the heads without which the loss is another: weak, but at work."""
        costs = use.ablated if use else {}
        return {head for head, cost in costs.items() if not abs(cost) < self.max_harmless}

    def _unwritten(self, heads: Heads, use: HeadUse | None) -> list[int]:
        if use is None or len(use.written) != len(heads.entropy):
            return []
        return [int(head) for head in np.flatnonzero(use.written < self.min_written)]

    def _copies(self, heads: Heads) -> list[int]:
        alike = np.tril(np.abs(heads.correlation) > self.max_correlation, -1)
        return [int(head) for head in np.flatnonzero(alike.any(axis=1))]


def _list(heads: list[int]) -> str:
    shown = ", ".join(str(head) for head in heads[:8]) + (", ..." if len(heads) > 8 else "")  # noqa: PLR2004
    return f"head {shown}" if len(heads) == 1 else f"each of heads {shown}"


def _ablations(use: HeadUse | None) -> tuple[str, ...]:
    return tuple(
        f"without head {head} the loss changes by {cost:+.2g}"
        for head, cost in (use.ablated if use else {}).items()
    )


def _remedies(site: Site, bad: tuple[int, ...]) -> tuple[Remedy, ...]:
    if not bad:
        return ()
    prune = Remedy(advice=f"Prune heads {list(bad)}, or draw their weights anew and train on.")
    scale = Remedy(
        advice="Normalize queries and keys per head before their product (QK-norm), and train on.",
        code="import torch\nquery = torch.nn.functional.normalize(query, dim=-1)\n"
        "key = torch.nn.functional.normalize(key, dim=-1)",
    )
    return (prune, scale) if site.op == "scaled_dot_product_attention" else (prune,)
