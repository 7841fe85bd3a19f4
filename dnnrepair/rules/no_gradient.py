"""GRD004: parameters that training cannot move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import reader
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.predictions import Predictions
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations, TensorInfo
    from dnnrepair.sites import Site

CUTS = frozenset({"detach", "argmax", "argmin", "round", "floor", "ceil", "sign", "trunc"})
_JUDGED = (Role.WEIGHT, Role.RECURRENT, Role.SCALE)  # a bias goes with its weight


@rule("GRD004")
@dataclass(frozen=True, slots=True)
class NoGradient:
    """Parameters that ask for a gradient and get none.

    ## What it measures
    Parameters to which no path leads back from the loss; weights whose gradient is exactly zero in
    every batch of the sketch; parameters that the network holds but never uses.

    ## Why it matters
    They keep the values they have, however long training goes on.

    ## What to do
    Remove the operation that cuts the path (detach, argmax, rounding, no_grad); delete or call the
    layer that is not used; freeze on purpose with ``requires_grad_(False)``.

    ## Limits
    A note only: weights upstream of a branch that ends in zeros and is about to learn (zero-init
    residual scale, LoRA), experts that no sample chose, recurrent weights of one-step sequences,
    parameters that serve another output. A state dict does not tell which parameters were frozen.

    ## Source
    PyTorch: autograd mechanics. Healthy networks: none.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "no-gradient"
    needs: ClassVar[frozenset[type]] = frozenset({Gradient})
    wants: ClassVar[frozenset[type]] = frozenset({Predictions})
    min_loss: float = 1e-6  # a mean loss below leaves no gradient to speak of, above 0

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding per layer whose parameters get no gradient, at its first reason."""
        said: set[str] = set()
        for finding in (*_unused(seen, self.code), *self._still(seen)):
            if isinstance(finding, Skip) or finding.layer not in said:
                said.add(finding.layer)
                yield finding

    def _still(self, seen: Observations) -> Iterator[Finding | Skip]:
        still = {name: found for name, found in seen.of(Gradient).items() if found.vanished}
        found = seen.whole(Predictions)
        moved = any(not gradient.vanished for gradient in seen.of(Gradient).values())
        reached = any(gradient.reached for gradient in seen.of(Gradient).values())
        if still and not moved and reached and found and found.mean_loss < self.min_loss:
            yield Skip(code=self.code, reason="the loss is zero, so is its gradient")
            return
        for name, gradient in still.items():
            info = seen.tensors[name]
            if info.used is False or info.site not in seen.sites:
                continue
            if not gradient.reached:
                yield self._unreached(info, seen)
            elif info.role in _JUDGED and not gradient.nonfinite:
                yield self._zero(info, seen)

    def _unreached(self, info: TensorInfo, seen: Observations) -> Finding:
        output = seen.sites.output
        used = output is not None and (
            info.site == output or info.site in seen.sites.ancestors(output)
        )
        if not used:
            return _finding(
                self.code, info, seen, Severity.NOTE, "serves another output than the prediction"
            )
        cut = _cut(info, seen)
        where = f"; {cut.op} at {cut.where or cut.name} cuts the path" if cut else ""
        return _finding(
            self.code, info, seen, Severity.ERROR, f"is used, but the loss does not reach it{where}"
        )

    def _zero(self, info: TensorInfo, seen: Observations) -> Finding:
        excuse = _excuse(info, seen)
        severity = Severity.NOTE if excuse else Severity.ERROR
        why = f": {excuse}" if excuse else ""
        batches = seen.of(Gradient)[info.name].batches
        said = f"has a gradient of exactly zero in all {batches} batches{why}"
        return _finding(self.code, info, seen, severity, said)


def _unused(seen: Observations, code: str) -> Iterator[Finding]:
    for info in seen.tensors.values():
        if info.used is False and info.trainable and not info.buffer:
            yield _finding(code, info, seen, Severity.WARNING, "is held, but never used")


def _excuse(info: TensorInfo, seen: Observations) -> str:
    """Return why a zero gradient is as it should be, "" if it is not."""
    if info.role is Role.RECURRENT:
        return "sequences of one step use no recurrent weight"
    if "expert" in info.name.lower() or any(site.op == "topk" for site in seen.sites):
        return "no sample chose this expert"
    for name, gradient in seen.of(Gradient).items():
        other = seen.tensors[name]
        learns = gradient.weight_norm == 0 and not gradient.vanished and other.site in seen.sites
        if learns and info.site in seen.sites.ancestors(other.site):
            return f"{name!r}, through which it acts, is still zero and about to learn"
    return ""


def _cut(info: TensorInfo, seen: Observations) -> Site | None:
    """Return the first operation without a derivative downstream of a parameter."""
    for site in seen.sites:
        if site.op in CUTS and info.site in {site.name, *seen.sites.ancestors(site.name)}:
            return site
    return None


def _finding(
    code: str, info: TensorInfo, seen: Observations, severity: Severity, said: str
) -> Finding:
    site = reader(seen, info)
    return Finding(
        code=code,
        severity=severity,
        layer=site.layer if site else info.layer,
        message=f"{info.name!r} {said}",
        measured=0.0,
        limit=0.0,
        healthy="every trainable parameter has a gradient other than zero",
        where=site.where if site else None,
        site=info.site,
        remedies=(
            Remedy(
                advice="If it is not to be trained, say so; else remove what cuts it off.",
                code=f"model.get_parameter({info.name!r}).requires_grad_(False)",
            ),
        ),
    )
