"""OUT002: a network that answers with (almost) one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.predictions import Predictions
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase, Task
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dnnrepair.observation import Observations

MIN_ROWS = 100  # fewer allow no statement about shares


@rule("OUT002")
@dataclass(frozen=True, slots=True)
class ClassCollapse:
    """Predictions that fall on one or few classes, or do not depend on the input.

    ## What it measures
    The largest share of predictions that one class gets, against that class's share of the labels;
    the entropy of the predicted classes over that of the labels; the standard deviation of each
    output over the data.

    ## Why it matters
    The network has stopped to tell samples apart; accuracy on the majority class can hide it.

    ## What to do
    Look for dead or constant layers first (ACT001, INI001), then at the last bias, class weights
    and the learning rate.

    ## Limits
    Trained networks only. Shares are compared with those of the labels, so imbalanced data are no
    fault; nothing is said where the labels hold one class.

    ## Source
    Healthy networks: largest share 0.122 of 10 balanced classes, entropy ratio at least 0.995.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "class-collapse"
    needs: ClassVar[frozenset[type]] = frozenset({Predictions})
    wants: ClassVar[frozenset[type]] = frozenset()
    warn_share: float = 0.6  # of predictions, in [0, 1]
    error_share: float = 0.9  # of predictions, in [0, 1]
    min_excess: float = 2.0  # times the class's share of the labels, above 1
    min_entropy: float = 0.5  # of the labels' entropy, in [0, 1]
    min_std: float = 1e-4  # of every output, above 0; for regression times the targets'

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding about the network as a whole."""
        found = seen.whole(Predictions)
        reason = _obstacle(found, seen)
        if found is None or reason:
            yield Skip(code=self.code, reason=reason)
            return
        finding = self._constant(found, seen)
        if finding is None and seen.facts.task is Task.CLASSIFY:
            finding = self._skewed(found, seen)
        if finding is not None:
            yield finding

    def _constant(self, found: Predictions, seen: Observations) -> Finding | None:
        spread = float(found.outputs.std.max())
        scale = float(found.targets.std.max()) if found.targets is not None else 1.0
        if spread >= self.min_std * scale:
            return None
        said = f"the outputs are the same for all {found.rows:,} rows"
        return self._finding(said, spread, self.min_std * scale, Severity.ERROR, (), seen)

    def _skewed(self, found: Predictions, seen: Observations) -> Finding | None:
        predicted, labels = (x / x.sum() for x in (found.predicted, found.labels))
        top = int(predicted.argmax())
        share, fair = float(predicted[top]), float(labels[top])
        ratio = _entropy(predicted) / _entropy(labels)
        if share >= self.warn_share and share >= self.min_excess * fair:
            severity = Severity.ERROR if share >= self.error_share else Severity.WARNING
            said = (
                f"class {top} gets {share:.1%} of the predictions and has {fair:.1%} of the labels"
            )
            return self._finding(said, share, self.warn_share, severity, (top,), seen)
        if ratio < self.min_entropy:
            few = int((predicted >= 1 / len(predicted) / 2).sum())
            said = f"{few} of {len(predicted)} classes get nearly all predictions"
            return self._finding(said, ratio, self.min_entropy, Severity.WARNING, (top,), seen)
        return None

    def _finding(
        self,
        message: str,
        measured: float,
        limit: float,
        severity: Severity,
        units: tuple[int, ...],
        seen: Observations,
    ) -> Finding:
        last = seen.sites[seen.sites.output] if seen.sites.output else None
        found = seen.whole(Predictions)
        accuracy = f"accuracy {found.accuracy:.3f}" if found and seen.facts.labeled else ""
        return Finding(
            code=self.code,
            severity=severity,
            layer=last.layer if last else "",
            message=message,
            measured=measured,
            limit=limit,
            healthy="predictions spread as the labels do",
            unit="share" if units else "1",
            where=last.where if last else None,
            site=last.name if last else "",
            units=units,
            evidence=(accuracy,) if accuracy and seen.facts.task is Task.CLASSIFY else (),
            remedies=_remedies(seen),
        )


def _obstacle(found: Predictions | None, seen: Observations) -> str:
    if seen.facts.phase is not Phase.TRAINED:
        return "an untrained network answers anything"
    if seen.facts.task is Task.GENERATE:
        return "GEN001 judges generators"
    if found is None or found.rows < MIN_ROWS:
        return f"needs {MIN_ROWS} predictions"
    if found.outputs.nonfinite:
        return "predictions are not finite; see NUM001"
    if seen.facts.task is Task.CLASSIFY and not found.labels.sum():
        return "needs labels: give --data with labels"
    if seen.facts.task is Task.CLASSIFY and (found.labels > 0).sum() < 2:  # noqa: PLR2004
        return "the labels hold one class"
    return ""


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _remedies(seen: Observations) -> tuple[Remedy, ...]:
    last = seen.sites[seen.sites.output] if seen.sites.output else None
    if last is None or last.kind is not Kind.AFFINE or "bias" not in last.tensors:
        return (Remedy(advice="Train again with a lower learning rate and class weights."),)
    name = last.tensors["bias"]
    code = f"import torch\nwith torch.no_grad():\n    model.get_parameter({name!r}).zero_()"
    return (
        Remedy(advice="Set the last bias to zero and measure again.", code=code),
        Remedy(advice="Train again with a lower learning rate and class weights."),
    )
