"""Losses by name against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dnnrepair.loss import LOSSES, guess_loss, loss_named, losses
from dnnrepair.observation import Task
from dnnrepair.probe import Batch

LABELS = torch.tensor([0, 2, 1, 2])
LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_cross_entropy_leaves_out_ignored_tokens() -> None:
    scores = LOGITS.reshape(2, 2, 3)
    labels = torch.tensor([[0, -100], [1, 2]])
    wanted = F.cross_entropy(scores.reshape(-1, 3), labels.reshape(-1))
    batch = Batch(inputs=(scores,), targets=labels)
    torch.testing.assert_close(loss_named("cross_entropy")(scores, batch), wanted)


def test_segmentation_counts_classes_in_dimension_one() -> None:
    scores = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(2))
    wanted = F.cross_entropy(scores, labels)
    torch.testing.assert_close(losses("cross_entropy", scores, labels).mean(), wanted)


@pytest.mark.parametrize("name", ["bce", "bce_logits", "mse", "l1", "smooth_l1"])
def test_class_labels_become_targets_of_each_output(name: str) -> None:
    prediction = torch.sigmoid(LOGITS)
    one_hot = torch.eye(3)[LABELS]
    torch.testing.assert_close(
        losses(name, prediction, LABELS).sum(), losses(name, prediction, one_hot).sum()
    )


def test_binary_logits_take_labels_of_their_own_shape() -> None:
    logits, labels = LOGITS[:, :1], torch.tensor([0, 1, 1, 0])
    wanted = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    torch.testing.assert_close(losses("bce_logits", logits, labels).mean(), wanted)


def test_the_guess_is_a_known_loss() -> None:
    for task in Task:
        for op in ("linear", "sigmoid", "log_softmax"):
            for width in (1, 10):
                assert guess_loss(task, op, width) in LOSSES
    assert guess_loss(Task.CLASSIFY, "log_softmax", 10) == "nll"
    assert guess_loss(Task.CLASSIFY, "sigmoid", 1) == "bce"
    assert guess_loss(Task.REGRESS, "linear", 1) == "mse"
