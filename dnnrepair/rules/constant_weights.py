"""INI001: weights that are all equal, or all zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.backward import reader
from dnnrepair.evidence.rows import RowCopies
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Role
from dnnrepair.residual import residuals
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations, TensorInfo

_JUDGED = (Role.WEIGHT, Role.RECURRENT, Role.EMBEDDING)
_REACH = 8  # operations between the last layer of a branch and the sum


@rule("INI001")
@dataclass(frozen=True, slots=True)
class ConstantWeights:
    """Weights that are all zero, all equal, or the same for every unit.

    ## What it measures
    The standard deviation of each weight (of each gate of a recurrent layer), and the share of
    pairs of rows that have the same direction (cosine above 0.99999), norm and bias.

    ## Why it matters
    Equal units compute the same, get the same gradient and stay equal: the layer is as good as one
    unit wide, whatever training does. Zero weights pass nothing on.

    ## What to do
    Draw the weights again, with the initializer that suits the activation, and train.

    ## Limits
    Biases, normalization and buffers are left out, as are rows of zeros (pruned). The last layer of
    a residual branch may start at zero (ReZero, LoRA): a note. At most 1024 rows are compared.

    ## Source
    Goodfellow, Bengio and Courville 2016, section 8.4 (symmetry breaking); healthy networks: none.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "constant-weights"
    needs: ClassVar[frozenset[type]] = frozenset({TensorSummary})
    wants: ClassVar[frozenset[type]] = frozenset({RowCopies, Vector})
    min_std: float = 1e-8  # of a healthy weight, at least 0
    max_share: float = 0.5  # of pairs of rows that are equal, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per weight without variety."""
        starts = _branch_ends(seen)
        for name, summary in seen.of(TensorSummary).items():
            info = seen.tensors[name]
            if info.role not in _JUDGED or info.buffer or summary.count < 2:  # noqa: PLR2004
                continue
            reason = _obstacle(summary)
            if reason:
                yield Skip(code=self.code, reason=f"{name!r} {reason}", layer=info.layer)
                continue
            excused = summary.max_abs == 0 and (info.site in starts or "lora_b" in name.lower())
            yield from self._judge(seen, info, summary, excused=excused)

    def _judge(
        self, seen: Observations, info: TensorInfo, summary: TensorSummary, *, excused: bool
    ) -> Iterator[Finding]:
        if min(summary.stds, default=1.0) < self.min_std:
            what = "zero" if summary.max_abs == 0 else "equal"
            blocks = sum(std < self.min_std for std in summary.stds)
            part = f"{blocks} of {len(summary.stds)} gates of " if len(summary.stds) > 1 else ""
            why = ": the branch is about to learn" if excused else ""
            said = f"all weights in {part}{info.name!r} are {what}{why}"
            yield self._finding(
                seen, info, said, (min(summary.stds), self.min_std), "1", excused=excused
            )
            return
        copies = seen.of(RowCopies).get(info.name)
        if copies is None:
            return
        bias = seen.of(Vector).get(_bias(seen, info))
        share = copies.share(bias.values if bias else None)
        if share >= self.max_share:
            said = f"{share:.0%} of the pairs of units of {info.name!r} are copies of each other"
            yield self._finding(seen, info, said, (share, self.max_share), "share", excused=False)

    def _finding(
        self,
        seen: Observations,
        info: TensorInfo,
        message: str,
        numbers: tuple[float, float],
        unit: str,
        *,
        excused: bool,
    ) -> Finding:
        site = reader(seen, info)
        return Finding(
            code=self.code,
            severity=Severity.NOTE if excused else Severity.ERROR,
            layer=site.layer if site else info.layer,
            message=message,
            measured=numbers[0],
            limit=numbers[1],
            healthy="every unit has weights of its own",
            unit=unit,
            where=site.where if site else None,
            site=info.site,
            remedies=() if excused else (_redraw(seen, info),),
        )


def _obstacle(summary: TensorSummary) -> str:
    if summary.nonfinite:
        return "is not finite; see NUM001"
    return "is quantized to few levels" if summary.low_bit else ""


def _bias(seen: Observations, info: TensorInfo) -> str:
    """Return the name of the bias that goes with a weight, "" if there is none."""
    if info.site in seen.sites and "bias" in seen.sites[info.site].tensors:
        return seen.sites[info.site].tensors["bias"]
    name = info.name.rpartition("weight")
    guess = f"{name[0]}bias{name[2]}"
    return guess if guess in seen.tensors else ""


def _branch_ends(seen: Observations) -> frozenset[str]:
    """Return the names of the last affine operations of residual branches."""
    ends: set[str] = set()
    for residual in residuals(seen.sites):
        site = seen.sites[residual.branch]
        for _ in range(_REACH):
            if site.kind is Kind.AFFINE or not site.inputs:
                break
            site = seen.sites[site.inputs[0]]
        ends.add(site.name)
    return frozenset(ends)


def _redraw(seen: Observations, info: TensorInfo) -> Remedy:
    readers = seen.sites.readers(seen.sites[info.site]) if info.site in seen.sites else ()
    activation = next((r.op for r in readers if r.kind is Kind.ACTIVATION), "")
    draw = "kaiming_normal_" if "relu" in activation else "xavier_normal_"
    return Remedy(
        advice="Draw the weights again and train on; nothing else breaks the symmetry.",
        code=f"import torch\n\ntorch.nn.init.{draw}(model.get_parameter({info.name!r}))",
    )
