"""Compare running statistics with the batch's own, on the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from dnnrepair.batch_norms import divergence
from dnnrepair.evidence.mode_gap import ModeGap
from dnnrepair.observation import Task
from dnnrepair.probe import NotMeasuredError, as_rows, probe
from dnnrepair.probes.batch_statistics import statistics
from dnnrepair.probes.moments import spaced_rows
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.evidence.batch_statistics import BatchStatistics
    from dnnrepair.probe import Batch, Session
    from dnnrepair.sites import Site

MIN_BATCH = 128  # smaller batches have statistics of their own
COMPARED_ROWS = 256  # per batch and norm
COMPARED_UNITS = 128  # per norm


class _Pass:
    """Watches the norms during one run per batch, dropout left out in either mode."""

    def __init__(self, session: Session, batches: Sequence[Batch], *, training: bool) -> None:
        self.rows: dict[str, list[Tensor]] = {}
        self.seen: dict[str, BatchStatistics] = {}
        self.own: dict[str, tuple[Tensor, Tensor, float]] = {}
        with torch.no_grad():
            self.predictions = [
                session.program.run(b.inputs, watch=self._watch, training=training) for b in batches
            ]

    def _watch(self, site: Site, arguments: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401
        if site.kind is Kind.DROPOUT:  # its noise is not what is compared
            return arguments["input"]
        if site.op == "batch_norm" and arguments.get("running_var") is not None:
            found = statistics(arguments["input"])
            self.seen[site.name] = self.seen[site.name] + found if site.name in self.seen else found
            own = arguments["running_mean"], arguments["running_var"]
            self.own[site.name] = (own[0], own[1], site.setting("eps", 1e-5))
        if site.kind is Kind.NORM and isinstance(value, torch.Tensor):
            rows = spaced_rows(value, site.unit_dim % value.dim(), COMPARED_ROWS)
            units = slice(None, None, max(rows.shape[1] // COMPARED_UNITS, 1))
            self.rows.setdefault(site.name, []).append(rows[:, units].clone())
        return None


@probe("mode-gap")
class ModeGapProbe:
    """Runs the sketch twice: with running statistics, and with those of each batch."""

    yields: ClassVar[type] = ModeGap

    def measure_session(self, session: Session) -> Iterator[tuple[str, ModeGap]]:
        """Yield the comparison for the network as a whole."""
        if not any(site.op == "batch_norm" for site in session.program.sites):
            message = "the network has no batch norm"
            raise NotMeasuredError(message)
        batches = [batch for batch in session.batches if len(batch) >= MIN_BATCH]
        if not batches:
            message = f"needs {MIN_BATCH} samples in a batch"
            raise NotMeasuredError(message)
        running = _Pass(session, batches, training=False)
        batch = _Pass(session, batches, training=True)
        classify = session.facts.task is Task.CLASSIFY
        yield (
            "",
            ModeGap(
                samples=sum(map(len, batches)),
                running_accuracy=_accuracy(running, batches) if classify else None,
                batch_accuracy=_accuracy(batch, batches) if classify else None,
                running_loss=_loss(running, batches, session),
                batch_loss=_loss(batch, batches, session),
                similarity={
                    name: similarity(torch.cat(rows), torch.cat(batch.rows[name]))
                    for name, rows in running.rows.items()
                    if name in batch.rows
                },
                staleness=_staleness(running, batch),
            ),
        )


def similarity(one: Tensor, two: Tensor) -> float:
    """Return the linear CKA of two matrices ``(rows, units)``, in [0, 1]; 1 if both are constant.

    Kornblith, Norouzi, Lee and Hinton 2019, arXiv:1905.00414, section 3.
    """
    x, y = (as_rows(v, -1).double() - v.double().mean(0) for v in (one, two))
    shared = torch.linalg.matrix_norm(y.mT @ x) ** 2
    own = torch.linalg.matrix_norm(x.mT @ x) * torch.linalg.matrix_norm(y.mT @ y)
    return float(shared / own) if own > 0 else 1.0


def _staleness(running: _Pass, batch: _Pass) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, (mean, var, eps) in running.own.items():  # of inference: training moves its copies
        if name in batch.seen:
            seen = batch.seen[name]
            own = mean.double().cpu().numpy(), var.double().cpu().numpy()
            kl = torch.from_numpy(divergence(seen.mean, seen.variance, *own, eps))
            found[name] = float(kl.nanmedian())
    return found


def _accuracy(found: _Pass, batches: Sequence[Batch]) -> float | None:
    """Return the share of right answers; None without class labels."""
    right = count = 0
    for prediction, batch in zip(found.predictions, batches, strict=True):
        targets = batch.targets
        if targets is None or targets.is_floating_point() or prediction.dim() != targets.dim() + 1:
            return None
        classes = prediction.argmax(1 if prediction.dim() > 3 else -1)  # noqa: PLR2004 - images
        if classes.shape != targets.shape or prediction.shape[-1] == 1:
            return None
        right += int((classes == targets).sum())
        count += targets.numel()
    return right / count if count else None


def _loss(found: _Pass, batches: Sequence[Batch], session: Session) -> float | None:
    if session.criterion is None:
        return None
    pairs = zip(found.predictions, batches, strict=True)
    losses = [
        float(session.criterion(prediction, batch)) * len(batch) for prediction, batch in pairs
    ]
    return sum(losses) / sum(map(len, batches))
