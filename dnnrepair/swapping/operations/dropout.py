"""Dropout put behind activations: nothing changes until the network is trained again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import allowed, hidden_activations, listed

if TYPE_CHECKING:
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where


@operation("dropout")
@dataclass(frozen=True, kw_only=True)
class InsertDropout(Operation):
    """What activations give is dropped at random in training, and kept in evaluation.

    Against overfitting: 0.5 in hidden layers (Srivastava et al. 2014, JMLR 15). Behind a SELU it is
    alpha dropout, which keeps mean and variance (Klambauer et al. 2017, arXiv:1706.02515).
    """

    share: float = 0.5  # that is dropped, in (0, 1)

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Insert it; see :meth:`Operation.edit`."""
        del generator
        if not 0 < self.share < 1:
            message = f"dropout takes a share in (0, 1), not {self.share:g}"
            raise SettingError(message)
        sites = subject.running.sites
        kept, skipped = allowed(subject, hidden_activations(sites, where), where)
        done = [site for site in kept if not _dropped(sites, site)]
        reasons = [f"{s.layer}: it is followed by dropout already" for s in kept if s not in done]
        if not done:
            raise SettingError("; ".join(reasons))
        for site in done:
            name = "alpha_dropout" if site.op == "selu" else "dropout"
            node = draft.node(site.name)
            made = draft.call(
                getattr(torch.ops.aten, name).default,
                node, self.share, False,  # noqa: FBT003 - as exported
                like=node,
            )  # fmt: skip
            draft.reroute(node, made)
        names = tuple(dict.fromkeys(site.layer for site in done))
        swap = Swap(
            operation=self.name,
            layers=names,
            summary=f"dropout of {self.share:g} put behind the activations of {listed(names)}",
            settings=(f"share = {self.share:g}",),
            promise=Promise.EXACT,
            reason="in evaluation; in training it adds noise",
        )
        return Edited(swaps=(swap,), skipped=(*skipped, *reasons))


def _dropped(sites: Sites, site: Site) -> bool:
    return any(site.name in reader.inputs and reader.kind is Kind.DROPOUT for reader in sites)
