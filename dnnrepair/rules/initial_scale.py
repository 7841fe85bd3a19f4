"""INI002: initial weights that are too small or too large for the depth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.activity import Activity
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase
from dnnrepair.signal import factors, hidden, is_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.observation import Observations
    from dnnrepair.signal import Factor
    from dnnrepair.sites import Site

SHOWN = 16  # layers spelled out
_NONLINEARITY = {"tanh": "tanh", "sigmoid": "sigmoid", "selu": "selu", "leaky_relu": "leaky_relu"}


@rule("INI002")
@dataclass(frozen=True, slots=True)
class InitialScale:
    """Initial weights that make signals or gradients fade or blow up with depth.

    ## What it measures
    In a fresh network without normalization and shortcuts, the product over the hidden layers of
    chi = fan_in * Var(W) * E[phi'(z)^2], with the slope measured on the data (or computed for
    Gaussian pre-activations; that of a sigmoid relative to its largest, 1/4). In any fresh network,
    the standard deviation of the pre-activations of each layer, and the ratio of the largest to the
    smallest.

    ## Why it matters
    Each layer multiplies the variance of gradients by chi: a product of 1e-4 leaves the first
    layers untrained for a long time, one of 100 makes the first steps destroy what was there.

    ## What to do
    Draw the weights with the gain of the activation (ReLU: fan_in * Var = 2; tanh: 25/9; linear,
    sigmoid, SELU: 1); add normalization or shortcuts in deep networks.

    ## Limits
    Fresh networks only. PyTorch's default (fan_in * Var = 1/3) is truly too small for 6 or more
    ReLU layers. Layers whose output is normalized next are left out.

    ## Source
    He et al. 2015, arXiv:1502.01852, eq. 14; Schoenholz et al. 2017, arXiv:1611.01232, eq. 5;
    healthy fresh networks: product 7.5e-4 to 2.1, std 0.052 to 6.7, ratio up to 18.5.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "initial-scale"
    needs: ClassVar[frozenset[type]] = frozenset({TensorSummary})
    wants: ClassVar[frozenset[type]] = frozenset({Moments, Activity})
    min_product: float = 1e-4  # of chi over the hidden layers, in (0, 1)
    max_product: float = 1e2  # above 1
    min_std: float = 1e-2  # of a layer's pre-activations, above 0
    max_std: float = 30.0  # above min_std
    max_ratio: float = 30.0  # of the largest to the smallest of them, above 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding, about the network as a whole."""
        if seen.facts.mode == "weights":
            yield Skip(code=self.code, reason="needs an architecture: give --arch")
        elif seen.facts.phase is not Phase.INIT:
            yield Skip(code=self.code, reason="judges fresh weights; this network is trained")
        else:
            yield from self._judge(seen)

    def _judge(self, seen: Observations) -> Iterator[Finding | Skip]:
        known = self._factors(seen)
        yield from (one for one in known if isinstance(one, Skip))
        chain = [one for one in known if not isinstance(one, Skip)]
        spreads, skips = _spreads(seen)
        yield from (Skip(code=self.code, reason=reason, layer=layer) for layer, reason in skips)
        faults = [*self._product(chain), *self._spread(spreads)]
        if not faults:
            return
        site, measured, limit, said = faults[0]
        yield Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=site.layer,
            message=f"initial weights are out of scale: {said}",
            measured=measured,
            limit=limit,
            healthy="product of chi 7.5e-4 to 2.1, std 0.052 to 6.7, ratio at most 18.5",
            where=site.where,
            site=site.name,
            evidence=(
                *(words for _, _, _, words in faults[1:]),
                *(_words(factor) for factor in chain[:SHOWN]),
                *(f"{s.layer!r}: std {std:.3g}" for s, std in spreads[:SHOWN]),
            ),
            remedies=_remedies(chain, spreads),
        )

    def _factors(self, seen: Observations) -> list[Factor | Skip]:
        if not is_plain(seen.sites):
            return []
        found: list[Factor | Skip] = []
        for factor in factors(seen):
            summary = seen.of(TensorSummary)[factor.weight]
            if summary.low_bit:
                reason = f"{factor.weight!r} is quantized to few levels"
                return [Skip(code=self.code, reason=reason, layer=factor.site.layer)]
            found.append(factor)
        return found

    def _product(self, chain: Sequence[Factor]) -> Iterator[tuple[Site, float, float, str]]:
        if not chain:
            return
        product = math.prod(factor.chi for factor in chain)
        if self.min_product <= product <= self.max_product:
            return
        small = product < self.min_product
        worst = (min if small else max)(chain, key=lambda factor: factor.chi)
        limit = self.min_product if small else self.max_product
        verb = "fade" if small else "grow"
        said = (
            f"over {len(chain)} layer(s) gradients {verb} in variance by a factor of {product:.3g}"
        )
        yield worst.site, product, limit, said

    def _spread(
        self, spreads: Sequence[tuple[Site, float]]
    ) -> Iterator[tuple[Site, float, float, str]]:
        if not spreads:
            return
        low, high = min(spreads, key=lambda s: s[1]), max(spreads, key=lambda s: s[1])
        if low[1] < self.min_std:
            said = f"pre-activations of {low[0].layer!r} have a standard deviation of {low[1]:.3g}"
            yield *low, self.min_std, said
        if high[1] > self.max_std:
            said = (
                f"pre-activations of {high[0].layer!r} have a standard deviation of {high[1]:.3g}"
            )
            yield *high, self.max_std, said
        if low[1] > 0 and high[1] / low[1] > self.max_ratio:
            ratio = high[1] / low[1]
            said = f"pre-activations differ {ratio:.3g} times in standard deviation between layers"
            yield low[0], ratio, self.max_ratio, said


def _spreads(
    seen: Observations,
) -> tuple[list[tuple[Site, float]], list[tuple[str, str]]]:
    """Return the spread of each hidden layer's pre-activations, and (layer, reason) of skips."""
    found: list[tuple[Site, float]] = []
    skips: list[tuple[str, str]] = []
    for site, _ in hidden(seen.sites):
        moments = seen.of(Moments).get(site.name)
        if moments is None:
            skips.append((site.layer, "its values were not measured"))
        elif moments.nonfinite or not math.isfinite(moments.pooled_std):
            skips.append((site.layer, "its values are not finite; see NUM001"))
        else:
            found.append((site, moments.pooled_std))
    return found, skips


def _words(factor: Factor) -> str:
    how = "measured" if factor.measured else "for Gaussian values"
    return (
        f"{factor.site.layer!r}: fan_in Var(W) {factor.gain2:.3g}, squared slope "
        f"{factor.slope2:.3g} ({how}), chi {factor.chi:.3g}"
    )


def _remedies(chain: Sequence[Factor], spreads: Sequence[tuple[Site, float]]) -> tuple[Remedy, ...]:
    names = [f.site.tensors["weight"] for f in chain]
    names = names or [s.tensors["weight"] for s, _ in spreads if "weight" in s.tensors]
    op = chain[0].activation.op if chain else "relu"
    return (
        Remedy(
            advice="Draw the weights again with the gain of the activation.",
            code=f"import torch\n\nfor name in {list(dict.fromkeys(names))!r}:\n"
            "    torch.nn.init.kaiming_normal_("
            f"model.get_parameter(name), nonlinearity={_NONLINEARITY.get(op, 'relu')!r})",
        ),
        Remedy(advice="In deep networks, add normalization or shortcuts."),
    )
