"""MOD001: a network that is not the same function twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.repeat import Leak, Repeat
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

_RANDOM = frozenset({"rrelu", "bernoulli", "rand", "randn", "rand_like", "randn_like", "randint"})


@rule("MOD001")
@dataclass(frozen=True, slots=True)
class StochasticInference:
    """Random numbers, or later tokens, in a prediction that must not depend on them.

    ## What it measures
    The largest difference between two passes over the same batch in evaluation mode, over the root
    mean square of the prediction (or 1); and the first operation whose outputs differ. Where each
    token is predicted from earlier ones: how much predictions change when only later tokens do.

    ## Why it matters
    The same input gets different answers, and no measurement of the network can be trusted. A
    network that sees the token it is to predict learns to copy it.

    ## What to do
    Call dropout as ``F.dropout(x, p, self.training)``; switch off noise when ``not self.training``.
    Mask attention to later tokens.

    ## Limits
    A network that samples on purpose (Monte Carlo dropout, a variational decoder) is reported too;
    ignore the rule there. Looking ahead is judged only if the targets are the next input tokens or
    some attention is causal.

    ## Source
    PyTorch: ``torch.nn.functional.dropout``. Healthy networks: 0.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "stochastic-inference"
    needs: ClassVar[frozenset[type]] = frozenset({Repeat})
    wants: ClassVar[frozenset[type]] = frozenset({Leak})
    max_difference: float = 1e-5  # times max(1, rms), above 0
    max_leak: float = 1e-4  # times max(1e-3, rms), above 0

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding about randomness, and one about looking ahead."""
        repeat = seen.whole(Repeat)
        random = repeat is not None and repeat.relative > self.max_difference
        if repeat is None:
            yield Skip(code=self.code, reason="the network was not run twice")
        elif random:
            yield self._random(repeat, seen)
        leak = seen.whole(Leak)
        if leak is not None and not random:
            limit = self.max_leak * max(1e-3, leak.rms)
            if leak.difference > limit:
                yield self._leak(leak, limit)

    def _random(self, repeat: Repeat, seen: Observations) -> Finding:
        first = _first(seen)
        said = f"two passes over the same samples differ by {repeat.difference:.3g}"
        return Finding(
            code=self.code,
            severity=Severity.ERROR,
            layer=first.layer if first else "",
            message=said + (f"; they part at {first.op}" if first else ""),
            measured=repeat.relative,
            limit=self.max_difference,
            healthy="0",
            where=first.where if first else None,
            site=first.name if first else "",
            evidence=(f"root mean square of the prediction {repeat.rms:.3g}",),
            remedies=_remedies(first),
        )

    def _leak(self, leak: Leak, limit: float) -> Finding:
        return Finding(
            code=self.code,
            severity=Severity.ERROR,
            layer="",
            message=f"predictions change by {leak.difference:.3g} when only later tokens change",
            measured=leak.difference,
            limit=limit,
            healthy="0",
            evidence=(f"it must not look ahead: {leak.reason}",),
            remedies=(
                Remedy(
                    advice="Mask later tokens in every attention, and pad convolutions on the left "
                    "only: is_causal=True for scaled_dot_product_attention, or this mask.",
                    code="import torch\n"
                    "mask = torch.nn.Transformer.generate_square_subsequent_mask(length)",
                ),
            ),
        )


def _first(seen: Observations) -> Site | None:
    """Return the first operation whose outputs differ; one that draws numbers if there is one."""
    differing = [seen.sites[name] for name in seen.of(Repeat) if name in seen.sites]
    differing.sort(key=lambda site: seen.sites.position(site.name))
    drawn = [s for s in differing if s.kind is Kind.DROPOUT or s.op in _RANDOM]
    return next(iter(drawn or differing), None)


def _remedies(first: Site | None) -> tuple[Remedy, ...]:
    if first is not None and first.kind is Kind.DROPOUT:
        at = f" at {first.where}" if first.where else ""
        return (
            Remedy(
                advice=f"Tell the dropout{at} whether the module trains.",
                code="x = torch.nn.functional.dropout(x, p, training=self.training)",
            ),
        )
    return (Remedy(advice="Draw random numbers only where self.training is true."),)
