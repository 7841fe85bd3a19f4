"""Temperature scaling, for networks that are too sure or not sure enough."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING

import torch
from scipy.optimize import minimize_scalar

from dnnrepair.errors import DataError, SettingError
from dnnrepair.loss import losses
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.affine import Affine
from dnnrepair.swapping.measuring import batches_of
from dnnrepair.swapping.operation import Edited, Operation, operation

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.sites import Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_WIDEST = 100.0  # the temperature is searched between this and its inverse
_LOSSES = ("cross_entropy", "bce_logits")
_ALL = 1 << 20  # inputs


@operation("temperature")
@dataclass(frozen=True, kw_only=True)
class Temperature(Operation):
    """All logits are divided by one number that minimizes the loss on the data.

    Every input keeps its class; only confidence changes. Where the last layer is affine, the
    number goes into its weights (Guo et al. 2017, arXiv:1706.04599).
    """

    needs_data = True
    value: float = 0.0  # the temperature, above 0; 0 to find it

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Divide the logits; see :meth:`Operation.edit`."""
        del where, generator
        if subject.facts.loss not in _LOSSES:
            message = (
                f"a temperature divides logits, and with the loss {subject.facts.loss or 'unknown'}"
                " the outputs are none; remove the last activation first, or name --loss"
            )
            raise SettingError(message)
        found = self.value or best_temperature(*_logits(subject), subject.facts.loss)
        sites = subject.running.sites
        layer = sites[str(sites.output)].layer
        _divide(draft, sites, found)
        confident = "over-confident" if found > 1 else "under-confident"
        swap = Swap(
            operation=self.name,
            layers=(layer,),
            summary=f"logits divided by {found:.3f}; the network was {confident}",
            settings=(f"temperature = {found:.6g}",),
            promise=Promise.CHANGES,
            reason="every input keeps its class; confidence changes",
        )
        return Edited(swaps=(swap,))


def best_temperature(logits: Tensor, labels: Tensor, loss: str) -> float:
    """Return the temperature, in [0.01, 100], that minimizes the mean loss.

    Args:
        logits: ``(N, K)`` or of any shape that the loss takes.
        labels: as the loss takes them.
        loss: "cross_entropy" or "bce_logits".
    """

    def mean_loss(log_temperature: float) -> float:
        return float(losses(loss, logits.double() / exp(log_temperature), labels).mean())

    found = minimize_scalar(mean_loss, bounds=(-log(_WIDEST), log(_WIDEST)), method="bounded")
    return exp(float(found.x))


@torch.no_grad()
def _logits(subject: Subject) -> tuple[Tensor, Tensor]:
    logits, labels = [], []
    for batch in batches_of(subject, _ALL):
        if batch.targets is None:
            message = "the temperature is chosen by the loss: give labeled data with --data"
            raise DataError(message)
        labels.append(batch.targets)
        logits.append(subject.running.run(batch.inputs)[: len(batch.targets)].cpu())
    return torch.cat(logits), torch.cat(labels)


def _divide(draft: Draft, sites: Sites, temperature: float) -> None:
    site = sites[str(sites.output)]
    try:
        layer = Affine.of(site, sites) if site.kind is Kind.AFFINE else None
    except SettingError:
        layer = None  # its weight is shared: divide what it gives
    if layer is not None:
        for name in filter(None, (layer.weight, layer.bias)):
            draft.change(name, draft.tensors[name].double() / temperature)
        return
    node = draft.node(site.name)
    draft.reroute(node, draft.call(torch.ops.aten.div.Tensor, node, temperature, like=node))
