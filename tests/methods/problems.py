"""Small networks that make errors, and problems made of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.answers import Examination
from dnnrepair.goal import Goal, aim
from dnnrepair.methods.method import Problem
from dnnrepair.models.cnn import CNN
from dnnrepair.models.digits import digits
from dnnrepair.models.mlp import MLP
from dnnrepair.models.recurrent import Reader
from dnnrepair.models.transformer import Transformer
from dnnrepair.splitting import cut, in_memory, part_of
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.subject import Subject

NETWORKS = ("cnn", "lstm", "transformer", "mlp")


def trained(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> nn.Module:
    """Train by the cross entropy, or of values by squared errors, all inputs at a time."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = net(x)
        loss = F.mse_loss(outputs, y) if y.is_floating_point() else F.cross_entropy(outputs, y)
        loss.backward()
        optimizer.step()
    return net.eval()


@cache
def network(kind: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network that gets most of 600 digits right, with these."""
    found = digits()
    images, y = torch.from_numpy(found.train_x[:600]), torch.from_numpy(found.train_y[:600])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "cnn":
            return trained(CNN(width=4), images[:, None], y, 25), images[:, None], y
        if kind == "lstm":
            return trained(Reader(nn.LSTM, hidden=16), images, y, 50), images, y
        if kind == "transformer":
            tokens = (images[:, ::2, ::2] * 16).long().flatten(1)
            net = Transformer(17, 16, width=16, heads=2, blocks=1)
            return trained(net, tokens, y, 15), tokens, y
        flat = images.flatten(1)
        return trained(MLP(64, [16], 10), flat, y, 25), flat, y


@cache
def subject(kind: str) -> Subject:
    """Return such a network on the table."""
    net, x, y = network(kind)
    return subject_of(net, (x, y))


def problem(
    given: Subject, *, fix: str = "all", shares: Any = (0.5, 0.2, 0.3), **more: Any
) -> Problem:
    """Return the problem of fixing some errors of a network."""
    samples = in_memory(given.samples)
    tolerance = more.get("tolerance", 1.0)
    answers = Examination.of(given, samples, tolerance=tolerance).answers()
    aimed = aim(Goal(fix=(fix,), tolerance=tolerance), answers)
    parts = cut(answers, aimed, 0, shares)
    return Problem(
        subject=given,
        search=part_of(samples, answers, aimed, parts.search, "search"),
        selection=part_of(samples, answers, aimed, parts.selection, "selection"),
        **more,
    )
