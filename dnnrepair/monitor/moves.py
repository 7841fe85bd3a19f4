"""Gradients and steps as the optimizer sees them: unscaled, accumulated, clipped."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import torch

from dnnrepair.evidence.training import Update
from dnnrepair.probes.gradient import GradientSum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from dnnrepair.evidence.gradient import Gradient

SAMPLED = 2**16  # numbers of a tensor by which its step is measured
KEPT = 8  # updates of each tensor


class Gradients:
    """The gradients of the steps before a look.

    Gradients are those that the optimizer is about to use: of all accumulated batches, clipped if
    the user clips, and divided by the scale of a ``GradScaler``.
    """

    def __init__(self) -> None:
        """Start without gradients."""
        self._sums: dict[str, GradientSum] = {}

    def add(self, parameters: Mapping[str, nn.Parameter], optimizer: Optimizer) -> None:
        """Note the gradients of one step."""
        scale = _scale(optimizer)
        asked = {name: p for name, p in parameters.items() if p.requires_grad}
        fast = _norms({name: p.grad for name, p in asked.items() if p.grad is not None})
        for name, parameter in asked.items():
            found = self._sums.setdefault(name, GradientSum())
            norm = fast.get(name, math.nan)
            if 0 < norm < math.inf:
                found.add_norm(norm / scale)
            else:  # absent, zero, sparse, not finite, or beyond the range of float32
                gradient = parameter.grad
                found.add(None if gradient is None else gradient.detach() / scale)

    def result(self, parameters: Mapping[str, nn.Parameter]) -> dict[str, Gradient]:
        """Return the gradient of each parameter, by name."""
        known = {name: found for name, found in self._sums.items() if name in parameters}
        lengths = _norms({name: parameters[name] for name in known})
        return {
            name: found.result(parameters[name].detach(), lengths.get(name))
            for name, found in known.items()
        }

    def clear(self) -> None:
        """Forget all gradients."""
        self._sums.clear()


class Updates:
    """How far single steps moved each tensor.

    Attributes:
        latest: updates by name, oldest first.
        first: ratio of the first step, by name; without tensors that were zero.
    """

    def __init__(self) -> None:
        """Start without updates."""
        self.latest: dict[str, deque[Update]] = {}
        self.first: dict[str, float] = {}
        self._before: dict[str, Tensor] = {}

    def before(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Keep a sample of each tensor until after the step."""
        self._before = {name: _sample(p).clone() for name, p in parameters.items()}

    def after(
        self,
        step: int,
        parameters: Mapping[str, nn.Parameter],
        rates: Mapping[str, float] | None,
    ) -> None:
        """Compare with what was kept before the step, and let go of that.

        Args:
            step: optimizer steps taken, this one included.
            parameters: the same.
            rates: learning rate over the highest so far, by name; None if no look comes now.
        """
        ratios = self._ratios(parameters)
        self._before = {}
        if step == 1:
            self.first = {name: ratio for name, ratio in ratios.items() if not math.isnan(ratio)}
        if rates is None:
            return
        for name, ratio in ratios.items():
            update = Update(step=step, ratio=ratio, rate=rates.get(name, 1.0))
            self.latest.setdefault(name, deque(maxlen=KEPT)).append(update)

    def restore(self, latest: Mapping[str, Iterable[Update]], first: Mapping[str, float]) -> None:
        """Take the place of what is known by what was known before."""
        self.latest = {name: deque(found, maxlen=KEPT) for name, found in latest.items()}
        self.first = dict(first)

    def _ratios(self, parameters: Mapping[str, nn.Parameter]) -> dict[str, float]:
        kept = {name: before for name, before in self._before.items() if name in parameters}
        changes = {name: _sample(parameters[name]) - before for name, before in kept.items()}
        norms, lengths = _norms(changes), _norms(kept)
        return {n: norms[n] / lengths[n] if lengths[n] > 0 else math.nan for n in kept}


class Rates:
    """The highest learning rate of each group so far."""

    def __init__(self) -> None:
        """Start without rates."""
        self.highest: list[float] = []

    def shares(self, optimizer: Optimizer, names: Mapping[int, str]) -> dict[str, float]:
        """Return each parameter's learning rate over the highest of its group, by name.

        Args:
            optimizer: whose groups are read; rates may be tensors.
            names: of its parameters, by identity.
        """
        self.note(optimizer)
        found = {}
        for group, highest in zip(optimizer.param_groups, self.highest, strict=False):
            share = float(group.get("lr", 1.0)) / highest if highest > 0 else 1.0
            found.update({names[id(p)]: share for p in group["params"] if id(p) in names})
        return found

    def note(self, optimizer: Optimizer) -> None:
        """Note the present rates."""
        now = [float(group.get("lr", 1.0)) for group in optimizer.param_groups]
        known = self.highest + [0.0] * (len(now) - len(self.highest))
        self.highest = [max(pair) for pair in zip(now, known, strict=False)]


def _scale(optimizer: Optimizer) -> float:
    """Return the factor of a ``GradScaler`` that leaves the division to a fused optimizer."""
    scale = getattr(optimizer, "grad_scale", None)
    return 1.0 if scale is None else float(scale)


def overflowed(optimizer: Optimizer) -> bool:
    """Tell whether a fused optimizer is about to skip its step, as its ``GradScaler`` asks."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def _sample(parameter: Tensor) -> Tensor:
    values = parameter.detach().reshape(-1)
    return values[:: -(-values.numel() // SAMPLED)] if values.numel() > SAMPLED else values


def _norms(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the Euclidean norms of dense tensors by name, fetched from their device at once."""
    dense = {name: t.detach() for name, t in tensors.items() if not t.is_sparse and t.numel()}
    norms = [
        torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32)).double()
        for t in dense.values()
    ]
    if not norms:
        return {}
    device = norms[0].device
    return dict(zip(dense, torch.stack([n.to(device) for n in norms]).tolist(), strict=True))
