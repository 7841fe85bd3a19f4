"""RES001: residual branches out of proportion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.operands import Operands
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase
from dnnrepair.residual import residuals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.observation import Observations
    from dnnrepair.residual import Residual

SILENT = 1e-9  # of the skip: the branch adds exactly nothing


@dataclass(frozen=True, slots=True)
class _Block:
    residual: Residual
    operands: Operands

    @property
    def skip(self) -> str:
        return "first" if self.residual.skip_first else "second"

    @property
    def ratio(self) -> float:
        """Rms of the branch over rms of the skip; infinite if nothing skips."""
        branch = self.operands.rms("second" if self.residual.skip_first else "first")
        skip = self.operands.rms(self.skip)
        return branch / skip if skip else math.inf

    def growth(self, stem: _Block) -> float:
        """Size of the sum over that of what enters ``stem``, in rms and in the typical unit."""
        pairs = [
            (self.operands.rms("total"), stem.operands.rms(stem.skip)),
            (self.operands.typical("total"), stem.operands.typical(stem.skip)),
        ]
        return min((now / before for now, before in pairs if before), default=1.0)


@rule("RES001")
@dataclass(frozen=True, slots=True)
class ResidualBranch:
    """Residual branch that drowns what skips it, adds next to nothing, or makes the stream grow.

    ## What it measures
    At each residual addition (found in the graph) the root mean square of the branch over that of
    the skip; and the size of each sum over that of the stream where it begins, taken both over all
    units and for the typical unit, the smaller of the two.

    ## Why it matters
    A branch that drowns its skip undoes the shortcut that makes deep networks trainable; one that
    adds nothing is wasted; a stream that grows from block to block leaves later blocks without
    influence.

    ## What to do
    Scale the branch (Inception-ResNet: 0.1 to 0.3), start it at zero (ReZero, LayerScale, last
    gamma 0), divide output projections by sqrt(2 * blocks), or normalize before the branch.

    ## Limits
    A branch that adds exactly 0, or next to nothing before training, was made so on purpose and is
    noted only. Streams of large language models grow by massive features and can pass the limit.

    ## Source
    Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261, section 3.3; healthy networks: ratio
    0.27 to 1.73, growth at most 5.3.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "residual-imbalance"
    needs: ClassVar[frozenset[type]] = frozenset({Operands})
    wants: ClassVar[frozenset[type]] = frozenset()
    max_ratio: float = 5.0  # branch over skip, above 1
    min_ratio: float = 0.02  # branch over skip, in (0, 1)
    max_growth: float = 20.0  # sum over stem, above 1
    max_step: float = 4.0  # sum over the sum before, above 1

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield a finding per branch out of proportion, and one where the stream has grown."""
        blocks: list[_Block] = []
        for residual in residuals(seen.sites):
            operands = seen.of(Operands).get(residual.site.name)
            if operands is None or not _finite(operands):
                reason = "the addition was not measured, or is not finite (see NUM001)"
                yield Skip(code=self.code, reason=reason, layer=residual.site.layer)
            else:
                blocks.append(_Block(residual, operands))
        for block in blocks:
            yield from self._ratio(block, seen)
        yield from self._growth(blocks)

    def _ratio(self, block: _Block, seen: Observations) -> Iterator[Finding]:
        ratio = block.ratio
        if ratio > self.max_ratio:
            message = f"the branch is {ratio:.3g} times as large as what skips it"
            yield self._finding(block, Severity.WARNING, message, ratio, self.max_ratio)
        elif ratio < self.min_ratio:
            meant = ratio < SILENT or seen.facts.phase is Phase.INIT
            message = f"the branch adds {ratio:.2g} of what skips it"
            severity = Severity.NOTE if meant else Severity.WARNING
            yield self._finding(block, severity, message, ratio, self.min_ratio)

    def _growth(self, blocks: Sequence[_Block]) -> Iterator[Finding]:
        """Yield the first block at which the stream has become too large."""
        for before, block in zip((None, *blocks), blocks, strict=False):
            total = block.growth(blocks[0])
            step = block.growth(block) if before is None else _step(before, block)
            if total > self.max_growth or step > self.max_step:
                long = total > self.max_growth
                value, limit = (total, self.max_growth) if long else (step, self.max_step)
                since = "its beginning" if long else "the block before"
                message = f"the residual stream has grown {value:.3g}-fold since {since}"
                curve = ", ".join(f"{one.growth(blocks[0]):.3g}" for one in blocks)
                yield self._finding(
                    block, Severity.WARNING, message, value, limit, f"growth: {curve}"
                )
                return

    def _finding(
        self,
        block: _Block,
        severity: Severity,
        message: str,
        value: float,
        limit: float,
        *evidence: str,
    ) -> Finding:
        site = block.residual.site
        return Finding(
            code=self.code,
            severity=severity,
            layer=site.layer,
            message=message,
            measured=value,
            limit=limit,
            healthy="ratio 0.27 to 1.73, growth at most 5.3",
            where=site.where,
            site=site.name,
            evidence=evidence,
            remedies=(
                Remedy(advice="Scale the branch by a factor that makes it half of the skip."),
                Remedy(advice="Start the branch at zero (last gamma 0) and train on."),
            ),
        )


def _step(before: _Block, block: _Block) -> float:
    """Return how much the stream grew since the sum before."""
    pairs = [
        (block.operands.rms("total"), before.operands.rms("total")),
        (block.operands.typical("total"), before.operands.typical("total")),
    ]
    return min((now / then for now, then in pairs if then), default=1.0)


def _finite(operands: Operands) -> bool:
    return operands.count > 0 and all(
        math.isfinite(operands.rms(side)) for side in ("first", "second", "total")
    )
