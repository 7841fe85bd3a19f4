"""GRD003: layers that learn at very different speeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import per_layer, weights
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations


@rule("GRD003")
@dataclass(frozen=True, slots=True)
class UnstableGradient:
    """Layers that learn at very different speeds under one learning rate.

    ## What it measures
    The learning speed of a weight is the norm of its gradient over its own norm. The value is the
    largest speed over the smallest.

    ## Why it matters
    No single learning rate suits all layers: the fast ones become unstable before the slow ones
    have moved.

    ## What to do
    Draw the weights anew at a common scale, add normalization, or give the layers learning rates of
    their own.

    ## Limits
    Weights before a normalization are left out (their scale has no meaning), as are embeddings,
    frozen weights and weights without a gradient. Optimizers that divide by the gradient's size,
    such as Adam, suffer less.

    ## Source
    You, Gitman and Ginsburg 2017, arXiv:1708.03888, section 4. Healthy networks: at most 190 at
    initialization (a transformer), 27 trained.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "unstable-gradient"
    needs: ClassVar[frozenset[type]] = frozenset({Gradient})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_spread: float = 1e3  # fastest over slowest, above 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the fastest weight."""
        found = [weight for weight in weights(seen) if not weight.normalized]
        if len(found) < 2:  # noqa: PLR2004 - a spread needs two
            reason = "needs at least two weights with a gradient, not followed by a normalization"
            yield Skip(code=self.code, reason=reason)
            return
        fast = max(found, key=lambda weight: weight.gradient.ratio)
        slow = min(found, key=lambda weight: weight.gradient.ratio)
        if not slow.gradient.ratio > 0:  # what has no gradient at all is for GRD004
            return
        spread = fast.gradient.ratio / slow.gradient.ratio
        if not spread >= self.max_spread:
            return
        names = [fast.info.name, slow.info.name]
        code = (
            "import torch\n"
            f"fast, slow = (model.get_parameter(name) for name in {names!r})\n"
            f"groups = [{{'params': [fast], 'lr': 1e-3 / {spread:.3g}}}, {{'params': [slow]}}]\n"
            "rest = [p for p in model.parameters() if p is not fast and p is not slow]\n"
            "optimizer = torch.optim.SGD([*groups, {'params': rest}], lr=1e-3)"
        )
        advice = f"Give {names[0]!r} a learning rate of its own, or draw both weights anew."
        yield Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=fast.site.layer,
            message=f"it learns {spread:.3g} times as fast as {slow.site.layer or names[1]!r}",
            measured=spread,
            limit=self.max_spread,
            healthy="at most 190",
            where=fast.site.where,
            site=fast.site.name,
            evidence=(per_layer(found),),
            remedies=(Remedy(advice=advice, code=code),),
        )
