"""Recurrent weights brought to a given spectral radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.observation import Role
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import allowed

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("spectral-radius")
@dataclass(frozen=True, kw_only=True)
class SpectralRadius(Operation):
    """Hidden-to-hidden weights are scaled so that their largest eigenvalue has a given size.

    Below 1 a recurrent layer forgets, above it the state (and the gradient through time) grows.
    Each gate's matrix is scaled by itself (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063).
    """

    radius: float = 1.0  # above 0

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Scale them; see :meth:`Operation.edit`."""
        del generator
        if not self.radius > 0:
            message = f"a spectral radius is above 0, not {self.radius:g}"
            raise SettingError(message)
        sites = subject.running.sites
        infos = subject.infos
        holding = {
            site.name: [n for n in site.tensors.values() if infos[n].role is Role.RECURRENT]
            for site in sites
        }
        chosen = where.choose(sites, lambda site: bool(holding[site.name]), "recurrent layers")
        kept, skipped = allowed(subject, chosen, where)
        before: list[float] = []
        names = list(dict.fromkeys(name for site in kept for name in holding[site.name]))
        for name in names:
            scaled, found = _scaled(draft.tensors[name], infos[name].blocks, self.radius, name)
            draft.change(name, scaled)
            before += found
        layers = tuple(dict.fromkeys(site.layer for site in kept))
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"{len(before)} recurrent matrices scaled to spectral radius {self.radius:g}; "
            f"they had {min(before):.3g} to {max(before):.3g}",
            settings=(f"radius = {self.radius:g}",),
            promise=Promise.CHANGES,
        )
        return Edited(swaps=(swap,), skipped=skipped)


def _scaled(weight: Tensor, blocks: int, radius: float, name: str) -> tuple[Tensor, list[float]]:
    """Return the matrices, stacked, scaled each, and the radii that they had."""
    parts, found = [], []
    for matrix in weight.double().chunk(blocks):
        old = float(torch.linalg.eigvals(matrix).abs().max())
        if not old > 0:
            message = f"{name} holds a matrix without eigenvalues other than 0; re-draw it first"
            raise SettingError(message)
        parts.append(matrix * (radius / old))
        found.append(old)
    return torch.cat(parts), found
