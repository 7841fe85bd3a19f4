"""Running statistics of batch norms, estimated again on data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from dnnrepair.errors import DataError
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dnnrepair.sites import Site
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("reestimate-bn")
@dataclass(frozen=True, kw_only=True)
class ReestimateStatistics(Operation):
    """Running means and variances become the average over batches of the data.

    The same as torch gives with ``reset_running_stats()`` and ``momentum = None`` in training mode,
    without dropout: the mean of the batches' means and unbiased variances. Weights stay.
    """

    needs_data = True
    batch_size: int = 128  # inputs at a time, at least 2

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Replace the running statistics; see :meth:`Operation.edit`."""
        del generator
        chosen = where.choose(
            subject.running.sites, lambda site: "running_mean" in site.tensors, "batch norms"
        )
        kept, skipped = allowed(subject, chosen, where)
        found = _estimated(subject, {site.name for site in kept}, self.batch_size)
        for site in kept:
            mean, variance = found[site.name]
            draft.change(site.tensors["running_mean"], mean)
            draft.change(site.tensors["running_var"], variance)
        layers = tuple(dict.fromkeys(site.layer for site in kept))
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"running statistics of {len(layers)} batch norms estimated on the data",
            settings=(f"batch_size = {self.batch_size}",),
            promise=Promise.CHANGES,
        )
        return Edited(swaps=(swap,), skipped=skipped)


@torch.no_grad()
def _estimated(subject: Subject, names: set[str], size: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and variance of each site, each the average over batches."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}

    def watch(site: Site, arguments: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401
        if site.name not in found:
            return None
        x = arguments["input"]
        rows = x.movedim(1, 0).flatten(1)  # (channels, samples * positions)
        found[site.name].append((rows.mean(1), rows.var(1)))
        del value
        return F.batch_norm(
            x, None, None, arguments["weight"], arguments["bias"], training=True,
            eps=float(arguments["eps"]),
        )  # fmt: skip

    assert subject.samples is not None  # it needs data  # noqa: S101
    program = subject.running
    for batch in subject.samples.batches(program.batch_size or size):
        if len(batch) > 1:
            program.run([x.to(subject.device) for x in batch.inputs], watch=watch)
    if not all(found.values()):
        message = "running statistics need batches of at least 2 inputs; give more data"
        raise DataError(message)
    return {
        name: (
            torch.stack([m for m, _ in parts]).mean(0),
            torch.stack([v for _, v in parts]).mean(0),
        )
        for name, parts in found.items()
    }
