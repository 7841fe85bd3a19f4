"""Differentiate the loss: one backward pass per batch of the sketch, for all parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.backends import without_cudnn
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.probe import NotMeasuredError, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from dnnrepair.probe import Batch, Session


class GradientSum:
    """Collects the gradients of one parameter."""

    def __init__(self) -> None:
        """Start without gradients."""
        self.norms: list[float] = []
        self.batches = self.zero = self.nonfinite = 0
        self.reached = False

    def add(self, gradient: Tensor | None) -> None:
        """Note the gradient of one batch, None where no path leads to the parameter."""
        self.batches += 1
        if gradient is None:
            return
        self.reached = True
        values = gradient.to_dense().double() if gradient.is_sparse else gradient.double()
        bad = int((~torch.isfinite(values)).sum())
        self.nonfinite += bad
        if not bad:
            self.norms.append(float(torch.linalg.vector_norm(values)))
            self.zero += self.norms[-1] == 0

    def add_norm(self, norm: float) -> None:
        """Note a gradient by its norm, which is finite and above 0."""
        self.batches += 1
        self.reached = True
        self.norms.append(norm)

    def result(self, value: Tensor, weight_norm: float | None = None) -> Gradient:
        """Return the evidence, ``value`` being the parameter and ``weight_norm`` its norm."""
        if weight_norm is None:
            weight_norm = float(torch.linalg.vector_norm(value.double()))
        norm = sum(self.norms) / len(self.norms) if self.norms else math.nan
        return Gradient(
            norm=norm if self.reached else 0.0,
            weight_norm=weight_norm,
            size=value.numel(),
            batches=self.batches,
            zero_batches=self.zero,
            nonfinite=self.nonfinite,
            reached=self.reached,
        )


@probe("gradient")
class GradientProbe:
    """The gradient of the mean loss in evaluation mode, per trainable parameter."""

    yields: ClassVar[type] = Gradient

    def measure_session(self, session: Session) -> Iterator[tuple[str, Gradient]]:
        """Yield the gradient of each trainable parameter, by its name."""
        criterion = session.loss()
        values = differentiable(session)
        sums = {name: GradientSum() for name in values}
        for batch in session.batches:
            for name, gradient in gradients(session, criterion, batch, values).items():
                sums[name].add(gradient)
        for name, found in sums.items():
            yield name, found.result(values[name])


def differentiable(session: Session) -> dict[str, Tensor]:
    """Return the trainable parameters of floating point, by name."""
    tensors = session.program.tensors
    values = {
        name: value
        for name, value in tensors.items()
        if name in session.trainable and value.is_floating_point()
    }
    if not values:
        message = "no parameter asks for a gradient"
        raise NotMeasuredError(message)
    return values


def gradients(
    session: Session,
    criterion: Callable[[Tensor, Batch], Tensor],
    batch: Batch,
    values: Mapping[str, Tensor],
) -> dict[str, Tensor | None]:
    """Return the gradient in each parameter, None where no path leads to it.

    Raises:
        NotMeasuredError: the network or the loss cannot be differentiated.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
    try:
        # cuDNN refuses to differentiate a recurrent layer in evaluation mode
        with torch.enable_grad(), without_cudnn():
            loss = criterion(session.program.run(batch.inputs, tensors=leaves), batch)
            if not loss.requires_grad:
                return dict.fromkeys(leaves)
            found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0][:200]
        message = f"the loss cannot be differentiated: {reason}"
        raise NotMeasuredError(message) from error
    return dict(zip(leaves, found, strict=True))
