"""Measure what layer norms read, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.norm_input import NormInput
from dnnrepair.probe import probe

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

FAINT = 10.0  # times eps


@probe("norm-input")
class NormInputProbe:
    """Counts of tokens too faint to normalize, and of tokens ruled by one feature."""

    yields: ClassVar[type] = NormInput
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:  # noqa: ARG002 - the protocol's
        """Watch layer and RMS norms."""
        return site.op in ("layer_norm", "rms_norm")

    def measure(self, call: Call) -> NormInput:
        """Return the counts of one batch."""
        tokens = _tokens(call)
        energy = tokens.square().mean(1)
        spread = energy if call.site.op == "rms_norm" else tokens.var(1, unbiased=False)
        default = float(torch.finfo(call.output.dtype).eps) if call.site.op == "rms_norm" else 1e-5
        faint = spread < FAINT * call.site.setting("eps", default)
        largest = tokens.square().amax(1)
        massive = (largest > energy * tokens.shape[1] / 2) & ~faint
        return NormInput(count=len(tokens), faint=int(faint.sum()), massive=int(massive.sum()))


def _tokens(call: Call) -> Tensor:
    """Return the input as ``(tokens, features)``, padding left out."""
    values: Tensor = call.arguments["input"].float()
    shape = call.arguments.get("normalized_shape") or values.shape[-1:]
    rows = values.flatten(-len(shape))
    mask = call.batch.mask
    if mask is not None and rows.shape[:-1] == mask.shape:
        return rows[mask]
    return rows.reshape(-1, rows.shape[-1])
