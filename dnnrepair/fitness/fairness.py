"""A fitness that is high where groups are treated alike and nothing else is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.errors import SettingError
from dnnrepair.fitness.fitness import check_above_zero

if TYPE_CHECKING:
    from dnnrepair.fitness.disparity import Disparity
    from dnnrepair.fitness.outputs import Outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a repair may cost, as shares of 1; compared with the unpatched network.

    Attributes:
        max_acc_drop: by which the accuracy may fall.
        min_f1_ratio: of the F1 score, or of the balanced accuracy, that must be left.
        balanced: it is the balanced accuracy.
        level_down: by which any group's true positive rate may fall; None for any.
        selection_band: by which the share of positive predictions may move, relative to what it
            was; None for any.
    """

    max_acc_drop: float = 0.01
    min_f1_ratio: float = 0.98
    balanced: bool = False
    level_down: float | None = None
    selection_band: float | None = None

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            SettingError: if one is out of range.
        """
        named = {
            "--max-acc-drop": self.max_acc_drop,
            "--min-f1-ratio": self.min_f1_ratio,
            "--no-level-down": self.level_down,
            "--selection-band": self.selection_band,
        }
        for name, value in named.items():
            if value is not None and not 0 <= value <= 1:
                message = f"{name} is {value:g}; give a share from 0 to 1, such as 0.01"
                raise SettingError(message)

    def violation(self, tables: Tensor, base: Tensor) -> Tensor:
        """Return by how much limits are exceeded, in sum ``(...)``; 0 where all are kept.

        Args:
            tables: counts ``(..., G, 2, 2)`` by group, label and prediction.
            base: those of the unpatched network, ``(G, 2, 2)``.
        """
        excess = [accuracy(base) - accuracy(tables) - self.max_acc_drop]
        kept = balanced_accuracy if self.balanced else f1
        excess.append(self.min_f1_ratio * kept(base) - kept(tables))
        if self.level_down is not None:
            fall = _recall(base) - _recall(tables) - self.level_down
            excess.append(fall.nan_to_num(nan=0.0).amax(-1))
        if self.selection_band is not None:
            before, after = _selected(base), _selected(tables)
            excess.append((after - before).abs() - self.selection_band * before)
        return torch.stack([one.clamp(min=0) for one in excess]).sum(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """Minus the gap between groups, if the limits are kept; below every such value otherwise.

    Half the gap is that of hard decisions, half that of soft ones ``sigmoid(margin / scale)``: soft
    alone rewards what no decision shows, hard alone is flat almost everywhere. Feasible candidates
    beat infeasible ones, and among those the lesser violation wins (Deb 2000).

    Attributes:
        groups: of the inputs, int64 ``(N,)`` in 0 ... G - 1.
        labels: whether the label is the positive class, bool ``(N,)``.
        disparity: what is to be made small.
        base: table of the unpatched network's decisions, ``(G, 2, 2)``.
        limits: what it may cost.
        positive: number of the positive class.
        scale: of the margin, above 0: in units of the unpatched network's margins, so that smaller
            weights do not look fairer.
        logs: the outputs are probabilities, of which the logarithm is taken.
        share: of the soft gap.
        shrunk: rows by which small cells are filled up.
    """

    groups: Tensor
    labels: Tensor
    disparity: Disparity
    base: Tensor
    limits: Limits = field(default_factory=Limits)
    positive: int = 1
    scale: float = 1.0
    logs: bool = False
    share: float = 0.5
    shrunk: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingError: if the objective compares no groups, or a number is out of range.
        """
        check_above_zero("margin's scale", self.scale)
        if not self.disparity.rates:
            message = (
                f"{self.disparity.name} compares an input with its twin, which a search over "
                "populations cannot; use --search descent"
            )
            raise SettingError(message)

    @property
    def certain(self) -> tuple[float, ...] | None:
        """No input can be left out: its soft terms vary."""
        return None

    @property
    def weights(self) -> Tensor:
        """Which inputs each term sums: by group and label, hard terms then soft ones."""
        cells = self.groups * 2 + self.labels.long()
        count = 2 * len(self.base)
        one = torch.nn.functional.one_hot(cells, count).t().to(torch.float32)
        return torch.cat([one, one]).unsqueeze(1)  # (4 G, 1, N)

    def terms(self, outputs: Outputs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return which rows are right, and how positive each is: hard, then soft."""
        full = outputs.full()
        full = full.clamp(min=1e-30).log() if self.logs else full
        margin = margin_of(full, self.positive)
        soft = torch.sigmoid(margin / self.scale).nan_to_num(nan=0.0)
        picked = full.argmax(0)
        hard = (picked == self.positive).to(soft.dtype)
        count = 2 * len(self.base)
        return picked == outputs.labels(), (hard,) * count + (soft,) * count

    def total(self, sums: Tensor) -> Tensor:
        """Return the fitness ``(P,)`` from the sums ``(4 G, P)``."""
        hard, soft = self._tables(sums)
        base = self.base.to(hard)
        gap = (1 - self.share) * self.disparity.gap(hard, shrunk=self.shrunk)
        gap = gap + self.share * self.disparity.gap(soft, shrunk=self.shrunk)
        excess = self.limits.violation(hard, base)
        return torch.where(excess > 0, -2 - excess, -gap)

    def _tables(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Return tables ``(P, G, 2, 2)`` of hard and of soft decisions."""
        count = len(self.base)
        positive = sums.view(2, count, 2, -1).movedim(-1, 1)  # (kind, P, G, label)
        all_rows = self.base.to(sums).sum(-1)
        return tuple(torch.stack([all_rows - one, one], -1) for one in positive)  # type: ignore[return-value]


def margin_of(outputs: Tensor, positive: int) -> Tensor:
    """Return by how much the positive class is ahead of all others, as a logit ``(...)``.

    Args:
        outputs: logits or log probabilities, classes first ``(C, ...)``, at least two.
        positive: number of the class.
    """
    others = [place for place in range(len(outputs)) if place != positive]
    rest = outputs[others]
    return outputs[positive] - (rest[0] if len(rest) == 1 else rest.logsumexp(0))


def accuracy(tables: Tensor) -> Tensor:
    """Return the share of right decisions ``(...)`` of tables ``(..., G, 2, 2)``."""
    together = tables.sum(-3)
    return (together[..., 0, 0] + together[..., 1, 1]) / together.sum((-2, -1))


def f1(tables: Tensor) -> Tensor:
    """Return the F1 score ``(...)``, 0 if nothing is positive."""
    together = tables.sum(-3)
    hits = 2 * together[..., 1, 1]
    wrong = together[..., 0, 1] + together[..., 1, 0]
    return hits / (hits + wrong).clamp(min=1e-12)


def balanced_accuracy(tables: Tensor) -> Tensor:
    """Return the mean recall of both labels ``(...)``."""
    together = tables.sum(-3)
    recalls = together.diagonal(dim1=-2, dim2=-1) / together.sum(-1).clamp(min=1e-12)
    return recalls.mean(-1)


def _recall(tables: Tensor) -> Tensor:
    """Return the true positive rates ``(..., G)``, NaN without positives."""
    return tables[..., 1, 1] / tables[..., 1, :].sum(-1)


def _selected(tables: Tensor) -> Tensor:
    """Return the share of positive decisions ``(...)``."""
    together = tables.sum(-3)
    return together[..., 1].sum(-1) / together.sum((-2, -1))
