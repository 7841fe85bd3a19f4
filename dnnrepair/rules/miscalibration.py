"""OUT003: confidence that is not accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.sketch_logits import SketchLogits
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase, Task
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations

MIN_ROWS = 100  # fewer allow no statement about calibration
_TEMPERATURES = (-4.0, 6.0)  # natural logarithm of the bounds searched


@rule("OUT003")
@dataclass(frozen=True, slots=True)
class Miscalibration:
    """Confidence far above or below the accuracy.

    ## What it measures
    The expected calibration error over 15 bins of the top probability, and mean top probability
    minus accuracy. The temperature that minimizes the loss on a sample of the data tells how far
    scaling alone would mend it.

    ## Why it matters
    Whoever acts on the network's probabilities is misled, although the classes may be right.

    ## What to do
    Divide the logits by the temperature (the classes stay the same), train with label smoothing,
    stop earlier.

    ## Limits
    Trained classifiers with labels only. Too little confidence is a note: an under-trained network
    shows it. The temperature is fitted on the diagnosis data; fit it anew on data of your own.

    ## Source
    Guo, Pleiss, Sun and Weinberger 2017, arXiv:1706.04599. Healthy networks: error at most 0.076,
    over-confidence at most 0.05.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "miscalibration"
    needs: ClassVar[frozenset[type]] = frozenset({Predictions})
    wants: ClassVar[frozenset[type]] = frozenset({SketchLogits})
    max_error: float = 0.1  # expected calibration error, in [0, 1]
    max_gap: float = 0.1  # between confidence and accuracy, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding about the network as a whole."""
        found = seen.whole(Predictions)
        reason = _obstacle(found, seen)
        if found is None or reason:
            yield Skip(code=self.code, reason=reason)
            return
        gap = found.confidence - found.accuracy
        if found.ece > self.max_error and abs(gap) > self.max_gap:
            yield self._finding(found, gap, seen)

    def _finding(self, found: Predictions, gap: float, seen: Observations) -> Finding:
        last = seen.sites[seen.sites.output] if seen.sites.output else None
        way = "over" if gap > 0 else "under"
        logits = seen.whole(SketchLogits)
        temperature, before, after = best_temperature(logits) if logits else (1.0, 0.0, 0.0)
        evidence = [f"expected calibration error {found.ece:.3f} over {found.labeled:,} rows"]
        if logits:
            evidence.append(
                f"temperature {temperature:.3g} lowers the loss from {before:.4g} to {after:.4g}"
            )
        return Finding(
            code=self.code,
            severity=Severity.WARNING if gap > 0 else Severity.NOTE,
            layer=last.layer if last else "",
            message=f"{way}-confident: mean top probability {found.confidence:.3f}, "
            f"accuracy {found.accuracy:.3f}",
            measured=abs(gap),
            limit=self.max_gap,
            healthy="gap at most 0.05, calibration error at most 0.076",
            unit="share",
            where=last.where if last else None,
            site=last.name if last else "",
            evidence=tuple(evidence),
            remedies=_remedies(seen, temperature),
        )


def best_temperature(logits: SketchLogits) -> tuple[float, float, float]:
    """Return the temperature of least loss, the mean loss at temperature 1, and at that one."""
    rows = np.arange(len(logits.labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.scores / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, logits.labels].mean())

    found = minimize_scalar(loss, bounds=_TEMPERATURES, method="bounded")
    return float(np.exp(found.x)), loss(0.0), float(found.fun)


def _obstacle(found: Predictions | None, seen: Observations) -> str:
    if seen.facts.task is not Task.CLASSIFY:
        return "the network does not classify"
    if seen.facts.phase is not Phase.TRAINED:
        return "an untrained network knows no confidence"
    if found is None or found.labeled < MIN_ROWS:
        return f"needs {MIN_ROWS} labeled predictions"
    if found.outputs.nonfinite:
        return "predictions are not finite; see NUM001"
    if len(found.outputs.mean) > 1 and seen.facts.loss in ("bce", "bce_logits"):
        return "the classes are questions of their own, their probabilities need not sum to 1"
    return ""


def _remedies(seen: Observations, temperature: float) -> tuple[Remedy, ...]:
    last = seen.sites[seen.sites.output] if seen.sites.output else None
    train = Remedy(
        advice="Train with label smoothing, or stop when the validation loss rises.",
        code="import torch\nloss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)",
    )
    if last is None or last.kind is not Kind.AFFINE or temperature == 1:
        return (
            Remedy(advice="Divide the logits by a temperature fitted on validation data."),
            train,
        )
    names = sorted(last.tensors.values())
    code = (
        "import torch\n"
        "with torch.no_grad():\n"
        f"    for name in {names!r}:\n"
        f"        model.get_parameter(name).div_({temperature:.6g})"
    )
    scale = Remedy(
        advice=f"Divide the logits by {temperature:.3g}; the predicted classes stay the same.",
        code=code,
    )
    return (scale, train)
