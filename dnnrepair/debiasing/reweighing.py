"""The last layer trained anew, on rows weighed so that groups and labels are independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.debiasing.scored import Scored

    Numbers = NDArray[np.float64]

_STEPS = 200  # of L-BFGS


def reweighed(fit: Scored, judge: Scored) -> Numbers | None:
    """Return margins of a last layer retrained so that group and label count as if independent.

    Kamiran and Calders, "Data preprocessing techniques for classification without discrimination"
    (2012): a row of group g and label y counts P(g) P(y) / P(g, y). None if the
    network does not end in a linear layer.

    Args:
        fit: rows that it is trained on.
        judge: rows of whose margins are returned, ``(n,)``.
    """
    features = fit.standard(judge)
    if features is None:
        return None
    groups, labels = fit.cohort.groups, fit.cohort.labels
    joint = np.bincount(groups * 2 + labels, minlength=2 * len(fit.cohort.levels)).reshape(-1, 2)
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True) / joint.sum()
    weights = (expected / np.maximum(joint, 1))[groups, labels]
    x = torch.from_numpy(features[0])
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    wanted, counts = torch.from_numpy(labels).double(), torch.from_numpy(weights)
    values = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            x @ values, wanted, weight=counts
        )
        loss = each + 1e-4 * values[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    found = values.detach().numpy()
    margins: Numbers = features[1] @ found[:-1] + found[-1]
    return margins
