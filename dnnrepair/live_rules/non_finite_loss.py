"""TRN001: a training loss that is NaN or infinite."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.training import Training
from dnnrepair.finding import Finding, Remedy, Severity, Skip, live_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations

NO_LOSS = "no training loss was seen; pass it on with m.loss(loss)"

_REMEDIES = (
    Remedy(advice="Stop, and go back to the last checkpoint whose weights are all finite."),
    Remedy(
        advice="Find the operation that makes the NaN: a logarithm or division of 0, float16 "
        "overflow, or a step too large.",
        code="import torch\n\n"
        "torch.autograd.set_detect_anomaly(True)  # names the operation that makes NaN in backward",
    ),
    Remedy(
        advice="Lower the learning rate, and clip the gradient before each step.",
        code="import torch\n\n"
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # after loss.backward()",
    ),
)


@live_rule("TRN001")
@dataclass(frozen=True, slots=True)
class NonFiniteLoss:
    """Training loss that is NaN or infinite.

    ## What it measures
    How many of the losses since the last look are not finite, and after which step such losses
    began.

    ## Why it matters
    One step along a gradient that is not finite ruins every weight it reaches.

    ## What to do
    Go back to the last good checkpoint; find the operation that makes the NaN, such as a logarithm
    or a division of 0; lower the learning rate and clip gradients.

    ## Limits
    Seen at the next look, not at the step itself. A warning only where finite losses came after it,
    as when a gradient scaler skipped the step.

    ## Source
    torch.autograd.detect_anomaly; Amazon SageMaker Debugger, rule ExplodingTensor.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "non-finite-loss"
    needs: ClassVar[frozenset[type]] = frozenset({Training})
    wants: ClassVar[frozenset[type]] = frozenset()

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding about the losses since the last look."""
        training = seen.whole(Training)
        if training is None or not training.blocks:
            yield Skip(code=self.code, reason=NO_LOSS)
            return
        latest = training.blocks[-1]
        if not latest.nonfinite:
            return
        total = latest.nonfinite + latest.count
        broken = takewhile(lambda block: block.nonfinite, reversed(training.blocks))
        *_, first = broken
        yield Finding(
            code=self.code,
            severity=Severity.WARNING if latest.count else Severity.ERROR,
            layer="",
            message=f"{latest.nonfinite} of the last {total} losses are NaN or infinite, "
            f"the first after {first.first_nonfinite:,} steps",
            measured=float(latest.nonfinite),
            limit=0.0,
            healthy="none",
            unit="losses",
            remedies=_REMEDIES,
        )
