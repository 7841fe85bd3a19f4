"""What one pass over the inputs adds up: gradients of the loss, and what lies behind each layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from dnnrepair.backends import without_cudnn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.localize.head import Head
    from dnnrepair.localize.use import Use
    from dnnrepair.localize.watching import Network, Run
    from dnnrepair.localize.weights import Sums
    from dnnrepair.probe import Batch


@dataclass
class Tally:
    """Sums over all samples.

    Attributes:
        head: tells logits and loss.
        gradient: of the summed loss, for each weight.
        behind: share of each output in the gradient of the logits, by use, ``(*outputs)``.
        sums: of all terms of each output, for uses that pool the samples.
        count: number of samples.
    """

    head: Head
    gradient: Sums
    behind: dict[str, Tensor] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def add(self, network: Network, batch: Batch) -> Run:
        """Run and differentiate a batch."""
        # cuDNN refuses to differentiate a recurrent layer in evaluation mode
        with torch.enable_grad(), without_cudnn():
            run = network.run(batch)
            outputs = [use.output for use in run.uses]
            behind = _gradients(run.logits.sum(), outputs, keep=True)
            loss = self.head.total_loss(run.logits, batch.targets)
            self.gradient.add(_gradients(loss, self.gradient.weights.leaves))
        for use, values in zip(run.uses, behind, strict=True):
            if values is not None:
                _add(self.behind, use.key, _shares(use.by_output(values.abs())).sum(0))
                if use.pooled:
                    _add(self.sums, use.key, use.sums().detach()[: len(batch)].sum(0))
        self.count += len(batch)
        return run

    def scale(self, use: Use, live: int) -> Tensor | None:
        """Return by what the terms of each output are multiplied, ``(n, *outputs)``.

        None if nothing leads from the use to the logits.

        Args:
            use: whose terms.
            live: so many samples count; others fill up a batch of fixed size.
        """
        if use.key not in self.behind:
            return None
        sums = self.sums[use.key].unsqueeze(0) if use.pooled else use.sums()
        scale = _over(self.behind[use.key] / self.count**2, sums)  # two means
        if live == use.samples:
            return scale
        whole = scale.expand(use.samples, *scale.shape[1:]).clone()
        whole[live:] = 0
        return whole


def _add(sums: dict[str, Tensor], key: str, values: Tensor) -> None:
    sums[key] = sums[key] + values if key in sums else values


def _shares(values: Tensor) -> Tensor:
    """Return each sample's values ``(n, *outputs)`` over their sum, 0 where that is 0."""
    total = values.flatten(1).sum(1).view(-1, *[1] * (values.dim() - 1))
    return _over(values, total)


def _over(values: Tensor, divisors: Tensor) -> Tensor:
    """Return quotients, 0 where a divisor is 0."""
    return (values / divisors).nan_to_num_(0, 0, 0)


def _gradients(
    value: Tensor, sources: Sequence[Tensor], *, keep: bool = False
) -> Sequence[Tensor | None]:
    """Return the gradient in each source, None where no path leads to it."""
    if not sources:
        return ()
    return torch.autograd.grad(value, sources, retain_graph=keep, allow_unused=True)
