"""Compute the singular values of weight matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from dnnrepair.evidence.spectrum import Matrix, Spectrum
from dnnrepair.observation import Role
from dnnrepair.probe import probe
from dnnrepair.probes.summary import matrices

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo

SHORT, LONG = 1024, 8192  # rows or columns of each side that are used, evenly chosen


@probe("spectrum")
class SpectrumProbe:
    """Singular values of weights; kernels unfolded as (out, in * kernel)."""

    yields: ClassVar[type] = Spectrum

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> Spectrum | None:
        """Return the spectrum, None where there is no matrix of finite numbers."""
        if info.role not in (Role.WEIGHT, Role.RECURRENT) or value.dim() < 2:  # noqa: PLR2004
            return None
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            return None
        blocks = [_dense(block) for block in matrices(info, value.detach())]
        found = tuple(_matrix(block) for block in blocks if block.numel())
        sampled = any(max(b.shape) > LONG or min(b.shape) > SHORT for b in blocks if b.numel())
        return Spectrum(matrices=found, sampled=sampled) if found else None


def _dense(block: Tensor) -> Tensor:
    """Leave out rows and columns that are all zero: pruned, not collapsed."""
    nonzero = block != 0
    return block[nonzero.any(1)][:, nonzero.any(0)]


def _matrix(block: Tensor) -> Matrix:
    wide = block if block.shape[0] <= block.shape[1] else block.mT
    wide = wide[:: -(-wide.shape[0] // SHORT), :: -(-wide.shape[1] // LONG)].double()
    wide = wide / wide.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    squares = torch.linalg.eigvalsh(wide @ wide.mT).flip(0).clamp(min=0).cpu().numpy()
    return Matrix(short=wide.shape[0], long=wide.shape[1], squares=squares)
