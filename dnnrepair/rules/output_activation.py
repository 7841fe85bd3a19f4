"""OUT001: outputs that do not fit the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.predictions import Predictions
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Task
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

_RANGES = {  # what an activation can put out
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, np.inf),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "softmax": (0.0, 1.0),
}
_REMOVE = Remedy(
    advice="Remove the activation after the last layer; the loss holds its own, and the class "
    "predicted stays the same. Train on from there.",
)


@dataclass(frozen=True, slots=True)
class _Fault:
    """What does not fit: in words, a measured number and its limit."""

    message: str
    measured: float
    limit: float
    certain: bool = True  # whatever the network was trained with, if the loss is as named


@rule("OUT001")
@dataclass(frozen=True, slots=True)
class OutputActivation:
    """Last activation that does not fit the loss.

    ## What it measures
    The share of rows that are probabilities (none negative, sum 1 within 0.001) or
    log-probabilities and the range of the outputs, against what the loss expects: cross entropy
    wants any number, NLL log-probabilities, BCE probabilities, BCE with logits any number,
    regression outputs that can reach the targets.

    ## Why it matters
    Softmax inside cross entropy bounds the loss from below (1.46 for 10 classes) and weakens every
    gradient; a ReLU or tanh at the end cannot give the answers that are asked for.

    ## What to do
    Remove the last activation, or name the loss that fits it.

    ## Limits
    An error only if the loss was named (``--loss``); else a warning that outputs look like
    probabilities. Log-softmax under cross entropy changes nothing and is not reported.

    ## Source
    PyTorch: ``CrossEntropyLoss``, ``NLLLoss``, ``BCELoss``. Healthy networks: none.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "output-activation"
    needs: ClassVar[frozenset[type]] = frozenset({Predictions})
    wants: ClassVar[frozenset[type]] = frozenset()
    min_share: float = 0.999  # of rows that are probabilities, in [0, 1]
    max_outside: float = 0.05  # of the targets' range that outputs cannot reach, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield at most one finding about the network's output."""
        found = seen.whole(Predictions)
        if found is None or not found.rows or found.outputs.nonfinite:
            reason = "there are no predictions" if not found else "predictions are not finite"
            yield Skip(code=self.code, reason=reason)
            return
        last = seen.sites[seen.sites.output] if seen.sites.output else None
        last = _behind_views(seen, last)
        classify = seen.facts.task is Task.CLASSIFY
        fault = self._class_fault(found, last, seen) if classify else self._range(found, last)
        if fault is not None:
            yield self._finding(fault, last, seen)

    def _class_fault(
        self, found: Predictions, last: Site | None, seen: Observations
    ) -> _Fault | None:
        loss, wide = seen.facts.loss, len(found.outputs.mean) > 1
        checks = {
            "cross_entropy": self._under_cross_entropy,
            "nll": self._under_nll,
            "bce": self._under_bce,
            "bce_logits": self._under_bce_logits,
        }
        if loss not in checks or (loss in ("cross_entropy", "nll") and not wide):
            return None
        return checks[loss](found, last)

    def _under_cross_entropy(self, found: Predictions, last: Site | None) -> _Fault | None:
        share = found.summing / found.rows
        if share >= self.min_share:
            said = "the outputs are probabilities already, and cross entropy applies softmax again"
            return _Fault(said, share, self.min_share)
        if last is not None and last.op in _RANGES and last.op != "softmax":
            low, high = _bounds(found)
            said = (
                f"{last.op} bounds the logits that cross entropy reads to [{low:.3g}, {high:.3g}]"
            )
            return _Fault(said, high - low, 0.0)
        return None

    def _under_nll(self, found: Predictions, _last: Site | None) -> _Fault | None:
        share = found.logarithmic / found.rows
        if share >= self.min_share:
            return None
        said = f"{1 - share:.0%} of the rows are no log-probabilities, which NLL expects"
        return _Fault(said, 1 - share, 1 - self.min_share)

    def _under_bce(self, found: Predictions, last: Site | None) -> _Fault | None:
        low, high = _bounds(found)
        if low < 0 or high > 1:
            said = f"outputs in [{low:.3g}, {high:.3g}] are no probabilities, which BCE expects"
            return _Fault(said, max(-low, high - 1), 0.0)
        return _one_of_many(found, last)

    def _under_bce_logits(self, found: Predictions, last: Site | None) -> _Fault | None:
        if last is not None and last.op in ("sigmoid", "softmax", "hardsigmoid"):
            said = f"{last.op} comes before a loss that applies the sigmoid itself"
            return _Fault(said, 1.0, 0.0)
        return _one_of_many(found, last)

    def _range(self, found: Predictions, last: Site | None) -> _Fault | None:
        targets = found.targets
        if targets is None or last is None or last.op not in _RANGES or targets.nonfinite:
            return None
        low, high = float(targets.low.min()), float(targets.high.max())
        reach = _RANGES[last.op]
        outside = max(reach[0] - low, high - reach[1], 0.0) / max(high - low, 1e-12)
        if outside <= self.max_outside:
            return None
        said = f"{last.op} cannot reach the targets, which lie in [{low:.3g}, {high:.3g}]"
        return _Fault(said, outside, self.max_outside)

    def _finding(self, fault: _Fault, last: Site | None, seen: Observations) -> Finding:
        facts = seen.facts
        named = facts.loss_given or facts.task is not Task.CLASSIFY
        found = seen.whole(Predictions)
        low, high = _bounds(found) if found else (0.0, 0.0)
        evidence = [f"outputs lie in [{low:.3g}, {high:.3g}]"]
        if not named:
            evidence.append(f"the loss is a guess ({facts.loss}); name it with --loss")
        return Finding(
            code=self.code,
            severity=Severity.ERROR if named and fault.certain else Severity.WARNING,
            layer=last.layer if last else "",
            message=fault.message,
            measured=fault.measured,
            limit=fault.limit,
            healthy="none",
            where=last.where if last else None,
            site=last.name if last else "",
            evidence=tuple(evidence),
            remedies=(_REMOVE,),
        )


def _one_of_many(found: Predictions, last: Site | None) -> _Fault | None:
    """Return a fault if one class per row is trained as many yes-or-no questions."""
    classes = len(found.outputs.mean)
    if classes <= 2 or not found.labels.sum() or len(found.labels) != classes:  # noqa: PLR2004
        return None
    op = last.op if last is not None and last.op in _RANGES else "a sigmoid"
    said = f"each row has one of {classes} classes, but {op} under BCE asks for each on its own"
    return _Fault(said, float(classes), 2.0, certain=False)


def _bounds(found: Predictions) -> tuple[float, float]:
    return float(found.outputs.low.min()), float(found.outputs.high.max())


def _behind_views(seen: Observations, site: Site | None) -> Site | None:
    """Return the operation that computed a value, seen through views."""
    if site is not None and site.kind in (Kind.VIEW, Kind.DROPOUT):
        return seen.sites.source(site)
    return site
