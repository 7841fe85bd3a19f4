"""Change the later tokens of a sequence and see whether earlier predictions move."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.repeat import Leak
from dnnrepair.loss import IGNORED_LABEL
from dnnrepair.probe import NotMeasuredError, probe
from dnnrepair.probes.repeat import compare
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.probe import Batch, Session

SHIFTED_SHARE = 0.99  # of targets that are the next input
MIN_TOKENS = 3
COMPARED_SAMPLES = 32


@probe("leak")
class LeakProbe:
    """Predictions for early tokens, with the true and with other tokens after them."""

    yields: ClassVar[type] = Leak

    def measure_session(self, session: Session) -> Iterator[tuple[str, Leak]]:
        """Yield the comparison for the network, if it must predict tokens from earlier ones."""
        batch = session.batches[0] if session.batches else None
        if batch is None or len(batch.inputs) != 1 or not _is_tokens(batch.inputs[0]):
            message = "no sequence of tokens comes in"
            raise NotMeasuredError(message)
        reason = _why_causal(session, batch)
        fixed = session.program.batch_size
        tokens = batch.inputs[0][: fixed or COMPARED_SAMPLES]
        middle = tokens.shape[1] // 2
        other = tokens.clone()
        other[:, middle:] = tokens.roll(1, 0)[:, middle:].flip(1)  # valid, and differs somewhere
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            one, two = (session.program.run((x,)) for x in (tokens, other))
        if one.shape[:2] != tokens.shape or torch.equal(tokens, other):
            message = "the prediction is not one per token"
            raise NotMeasuredError(message)
        found = compare(one[:, :middle].double(), two[:, :middle].double())
        yield "", Leak(difference=found.difference, rms=found.rms, reason=reason)


def _is_tokens(values: Tensor) -> bool:
    whole = not values.is_floating_point() and values.dtype is not torch.bool
    return whole and values.dim() == 2 and values.shape[1] >= MIN_TOKENS  # noqa: PLR2004


def _why_causal(session: Session, batch: Batch) -> str:
    tokens, targets = batch.inputs[0], batch.targets
    if targets is not None and targets.shape == tokens.shape:
        known = targets[:, :-1] != IGNORED_LABEL
        same = (targets[:, :-1] == tokens[:, 1:])[known]
        if same.numel() and float(same.double().mean()) >= SHIFTED_SHARE:
            return "the targets are the next tokens of the input"
    causal = [s for s in session.program.sites.of(Kind.ATTENTION) if s.setting("is_causal", 0)]
    if causal:
        return f"the attention of {causal[0].layer!r} is causal"
    message = "nothing says that the network must not look ahead"
    raise NotMeasuredError(message)
