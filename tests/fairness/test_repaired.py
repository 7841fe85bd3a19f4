"""A planted bias in a network of each kind is narrowed on rows that neither fitted nor chose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dnnrepair.data import ArraySamples
from dnnrepair.fairness.case import Case
from dnnrepair.fairness.choice import judged
from dnnrepair.fairness.cohort import Cohort, parted
from dnnrepair.fairness.descent import Descent
from dnnrepair.fairness.repair import changeable, repaired
from dnnrepair.fairness.responses import Asking
from dnnrepair.fitness.disparity import Disparity
from dnnrepair.fitness.fairness import Limits
from dnnrepair.subject import subject_of

ROWS = 3000
QUICK = Descent(emphases=(1.0,), steps=150, looks=10, batch=256, rate=4e-3)


class Reader(nn.Module):
    """Reads 16 words, and says yes or no."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        self.words = nn.Embedding(40, 12)
        self.hidden = nn.Linear(12, 16)
        self.out = nn.Linear(16, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.out(torch.relu(self.hidden(self.words(tokens).mean(1))))
        return logits


def looker() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(6 * 16, 24), nn.ReLU(), nn.Linear(24, 1),
    )  # fmt: skip


def images(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Return 8x8 images: a bright left half for yes, a bright lower half for group 1."""
    found = rng.normal(0, 1, (len(labels), 1, 8, 8))
    found[:, :, :, :4] += 0.35 * labels[:, None, None, None]
    found[:, :, 4:, :] += 0.8 * groups[:, None, None, None]
    return torch.from_numpy(found).float()


def texts(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Return 16 words: a fifth tell the label, a third the group, the others nothing."""
    shape = (len(labels), 16)
    own = rng.integers(0, 10, shape) + 10 * (1 - labels[:, None])
    group = rng.integers(20, 30, shape) + 10 * groups[:, None]
    kind = rng.random(shape)
    found = np.where(kind < 0.2, own, np.where(kind < 0.5, group, rng.integers(0, 20, shape)))
    return torch.from_numpy(found)


@pytest.mark.parametrize("kind", ["images", "text"])
def test_a_planted_bias_is_narrowed(kind: str) -> None:
    rng = np.random.default_rng(5)
    groups, labels = rng.integers(0, 2, ROWS), rng.integers(0, 2, ROWS)
    x = images(labels, groups, rng) if kind == "images" else texts(labels, groups, rng)
    unjust = labels * (1 - (groups == 1) * (rng.random(ROWS) < 0.4))
    torch.manual_seed(0)
    network = looker() if kind == "images" else Reader()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(120):
        out = network(x[:1200])
        wanted = torch.from_numpy(unjust[:1200])
        loss = (
            nn.functional.binary_cross_entropy_with_logits(out[:, 0], wanted.float())
            if kind == "images"
            else nn.functional.cross_entropy(out, wanted)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    given = (x[:64], torch.from_numpy(labels[:64]))
    loss_name = "bce_logits" if kind == "images" else "cross_entropy"
    subject = subject_of(network.eval(), given, task="classify", loss=loss_name)
    people = Cohort(
        name="people", samples=ArraySamples((x,), torch.from_numpy(labels), "people"),
        groups=groups, levels=("a", "b"), positive=1, attribute="group",
    )  # fmt: skip
    repair, select, test = parted(people, 0)
    assert test is not None
    case = Case(
        subject=subject, repair=repair, select=select, disparity=Disparity.named("eodds"),
        names=changeable(subject, "auto"), limits=Limits(max_acc_drop=0.02),
    )  # fmt: skip
    found = repaired(case, descent=QUICK)
    assert found.chosen is not None, found.reason
    assert found.chosen.candidate is not None
    asking = Asking.of(subject, test, case.names)
    before, after = (
        judged(test, case.disparity, None, asking.responses(tensors))
        for tensors in (None, found.chosen.candidate.tensors)
    )
    assert before.gap > 0.15  # the bias was planted
    assert after.gap < 0.6 * before.gap
    assert after.accuracy > before.accuracy - 0.02
    assert set(found.chosen.candidate.tensors) == set(case.names)
