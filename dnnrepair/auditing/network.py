"""A network's answers to rows as probabilities of classes, or as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.data import ArraySamples
from dnnrepair.data.samples import as_tensor
from dnnrepair.errors import DataError, ModelError
from dnnrepair.fixed_batch import filled
from dnnrepair.request import Request
from dnnrepair.subject import open_subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.auditing.request import AuditRequest
    from dnnrepair.observation import Task
    from dnnrepair.subject import Subject

    Numbers = NDArray[np.float64]

_MATRIX = 2
_ROUNDING = 1e-4  # of probabilities that a network adds up itself
_EXAMPLES = 256  # rows that are put to the network twice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A network that answers rows.

    Attributes:
        subject: the network.
        batch_size: rows at a time.
        tensors: stand in for parameters of the network, by name.
    """

    subject: Subject
    batch_size: int
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Number of outputs, 1 for a single score or value."""
        return max(self.subject.facts.classes, 1)

    @torch.no_grad()
    def values(self, inputs: NDArray[Any], name: str) -> Numbers:
        """Return what the network predicts, ``(rows,)``; for a regression."""
        found = self._run(inputs, name)
        if found[0].numel() != 1:
            message = f"the network answers {tuple(found.shape[1:])} numbers a row, not one value"
            raise DataError(message)
        return found.reshape(len(found)).double().numpy()

    @torch.no_grad()
    def probabilities(self, inputs: NDArray[Any], name: str) -> Numbers:
        """Return the probability of each class ``(rows, classes)``; one score makes two classes.

        Raises:
            DataError: if the network answers something else, or NaN.
        """
        found = self._run(inputs, name).double()
        if found.dim() == 1:
            found = found[:, None]
        if found.dim() != _MATRIX:
            message = (
                f"the network answers {tuple(found.shape[1:])} for a row; an audit needs one score "
                "or one number for each class"
            )
            raise DataError(message)
        if found.shape[1] == 1:
            score = self._score(found)
            return torch.cat([1 - score, score], dim=1).numpy()
        return self._shares(found).numpy()

    def _score(self, found: Tensor) -> Tensor:
        if self.subject.facts.loss != "bce":
            return found.sigmoid()
        if bool(((found < 0) | (found > 1)).any()):
            message = "the network's scores leave [0, 1]; if they are logits, say --loss bce_logits"
            raise DataError(message)
        return found

    def _shares(self, found: Tensor) -> Tensor:
        """Return probabilities; those that the network makes itself are kept."""
        if self.subject.facts.loss == "nll":
            return found.exp()
        sums = found.sum(dim=1)
        if bool((found >= 0).all()) and bool(
            torch.isclose(sums, sums.new_ones(()), atol=1e-4).all()
        ):
            return found
        return found.softmax(dim=1)

    def _run(self, inputs: NDArray[Any], name: str) -> Tensor:
        program = self.subject.running
        size = program.batch_size or self.batch_size
        whole = as_tensor(inputs)
        parts = []
        for start in range(0, len(whole), size):
            batch = filled((whole[start : start + size],), program.batch_size, self.subject.device)
            said = program.run(batch, tensors=self.tensors)
            parts.append(said[: len(whole) - start].cpu())
        found = torch.cat(parts)
        if len(found) != len(whole):
            message = f"the network answers {len(found)} rows where {len(whole)} were asked"
            raise DataError(message)
        bad = ~found.isfinite().reshape(len(found), -1).all(dim=1)
        if bool(bad.any()):
            message = (
                f"the network answers NaN or infinity to {int(bad.sum())} rows of {name}, first to "
                f"row {int(bad.nonzero()[0])}; `dnnrepair diagnose` says where they come from"
            )
            raise DataError(message)
        return found


def open_network(request: AuditRequest, inputs: NDArray[Any], task: Task) -> Network:
    """Load the network, and make sure that it answers the same rows the same way.

    Raises:
        DnnRepairError: if it cannot be loaded or run, or answers at random.
    """
    assert request.model is not None  # noqa: S101 - the caller has checked
    asked = Request(
        model=request.model,
        arch=request.arch,
        task=task.value,
        loss=request.loss,
        trust_pickle=request.trust_pickle,
        device=request.device,
        batch_size=request.batch_size,
        seed=request.seed,
    )
    name = request.data or "the data"
    samples = ArraySamples((as_tensor(inputs),), None, name)
    network = Network(subject=open_subject(asked, samples), batch_size=request.batch_size)
    if network.subject.program is None:
        message = f"{request.model}: only weights are known; name the network with --arch"
        raise ModelError(message)
    some = inputs[:_EXAMPLES]
    first, second = (network._run(some, name) for _ in range(2))  # noqa: SLF001
    if not torch.equal(first, second):
        message = (
            f"{request.model} answers the same rows differently each time, so that nothing can be "
            "measured; save it in evaluation mode, without dropout at inference"
        )
        raise ModelError(message)
    return network
