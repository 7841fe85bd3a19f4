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
MOST_SHOWN = 8  # names in a sentence of evidence
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
        """Yield one finding per reason, at the parameter nearest the loss."""
        still = [name for name, found in seen.of(Gradient).items() if found.vanished]
        unused = [n for n, i in seen.tensors.items() if i.used is False and i.trainable]
        groups: dict[_Reason, list[TensorInfo]] = {}
        for name in unused:
            if not seen.tensors[name].buffer:
                groups.setdefault(_UNUSED, []).append(seen.tensors[name])
        if still and self._is_done(seen):
            yield Skip(code=self.code, reason="the loss is zero, so is its gradient")
            still = []
        for name in still:
            reason = _reason(seen.tensors[name], seen)
            if reason is not None:
                groups.setdefault(reason, []).append(seen.tensors[name])
        for reason, infos in groups.items():
            yield self._finding(reason, infos, seen)

    def _is_done(self, seen: Observations) -> bool:
        """Tell whether there is no loss left, and so no gradient anywhere."""
        found = seen.whole(Predictions)
        gradients = seen.of(Gradient).values()
        zero = all(g.vanished for g in gradients) and any(g.reached for g in gradients)
        return zero and found is not None and found.mean_loss < self.min_loss

    def _finding(self, reason: _Reason, infos: list[TensorInfo], seen: Observations) -> Finding:
        def place(info: TensorInfo) -> int:
            return seen.sites.position(info.site) if info.site in seen.sites else -1

        *others, last = sorted(infos, key=place)
        site = reader(seen, last)
        shown = ", ".join(repr(info.name) for info in others[:MOST_SHOWN])
        more = f" and {len(others) - MOST_SHOWN} more" if len(others) > MOST_SHOWN else ""
        names = [info.name for info in (*others, last)]
        code = f"for name in {names!r}:\n    model.get_parameter(name).requires_grad_(False)"
        return Finding(
            code=self.code,
            severity=reason.severity,
            layer=site.layer if site else last.layer,
            message=f"{last.name!r} {reason.said}",
            measured=float(len(infos)),
            limit=0.0,
            healthy="0",
            unit="parameters",
            where=site.where if site else None,
            site=last.site,
            evidence=(f"{shown}{more} as well",) if others else (),
            remedies=(
                Remedy(
                    advice="If they are not to be trained, say so; else mend what cuts them off.",
                    code=code,
                ),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Reason:
    severity: Severity
    said: str


_UNUSED = _Reason(Severity.WARNING, "is held, but never used")
_ELSEWHERE = _Reason(Severity.NOTE, "serves another output than the prediction")


def _reason(info: TensorInfo, seen: Observations) -> _Reason | None:
    """Return why a parameter has no gradient, None if that is nobody's concern."""
    if info.used is False or info.site not in seen.sites:
        return None
    gradient, output = seen.of(Gradient)[info.name], seen.sites.output
    if not gradient.reached:
        if output is None or info.site not in {output, *seen.sites.ancestors(output)}:
            return _ELSEWHERE
        cut = _cut(info, seen)
        where = f"; {cut.op} at {cut.where or cut.name} cuts the path" if cut else ""
        return _Reason(Severity.ERROR, f"is used, but the loss does not reach it{where}")
    if info.role not in _JUDGED or gradient.nonfinite:
        return None
    said = f"has a gradient of exactly zero in all {gradient.batches} batches"
    excuse = _excuse(info, seen)
    return _Reason(Severity.NOTE, f"{said}: {excuse}") if excuse else _Reason(Severity.ERROR, said)


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
            return "the weight through which it acts is still zero and about to learn"
    return ""


def _cut(info: TensorInfo, seen: Observations) -> Site | None:
    """Return the first operation without a derivative downstream of a parameter."""
    for site in seen.sites:
        if site.op in CUTS and info.site in {site.name, *seen.sites.ancestors(site.name)}:
            return site
    return None
