"""Small networks with a fault that one treatment is made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.repairing.course import Trial
from dnnrepair.repairing.parts import Parts, parts_of
from dnnrepair.repairing.standing import Budget
from dnnrepair.selection import choose_rules
from dnnrepair.subject import Subject, subject_of

COUNT = 900


@cache
def problem() -> tuple[Tensor, Tensor]:
    """Return inputs ``(900, 8)`` of mean 0 and deviation 1, and labels of four classes."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(COUNT, 8, generator=rng)
    return x, (x @ torch.randn(8, 4, generator=rng)).argmax(1)


def learned(module: nn.Module, x: Tensor, y: Tensor, epochs: int = 25) -> nn.Module:
    """Train a network in place, and return it in evaluation mode."""
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    module.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=rng).split(64):
            optimizer.zero_grad()
            F.cross_entropy(module(x[part]), y[part]).backward()
            optimizer.step()
    return module.eval()


@cache
def _made(fault: str) -> tuple[nn.Module, Tensor, Tensor]:
    x, y = problem()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head: list[nn.Module] = [nn.Softmax(-1)] if fault == "softmax" else []
        norm: list[nn.Module] = [nn.BatchNorm1d(16)] if fault == "stale" else []
        module = nn.Sequential(nn.Linear(8, 16), *norm, nn.ReLU(), nn.Linear(16, 4), *head)
        if fault == "raw":
            x = x * 400 + 900
        learned(module, x, y)
    with torch.no_grad():
        if fault == "dead":
            module.get_parameter("0.bias")[:] = -1000.0
        if fault == "partly":
            module.get_parameter("0.bias")[:6] = -1000.0
        if fault == "stale":
            module.get_buffer("1.running_mean")[:] = 1.0
            module.get_buffer("1.running_var")[:] = 9.0
        if fault == "nan":
            module.get_parameter("0.weight")[0, 0] = torch.nan
        if fault == "constant":
            module.get_parameter("0.weight")[:] = 0.1
            module.get_parameter("0.bias")[:] = 0.1
    return module, x, y


@pytest.fixture
def faulty() -> Callable[[str], Subject]:
    """Return ``faulty(fault)``: healthy, dead, partly, stale, softmax, raw, nan or constant."""

    def found(fault: str) -> Subject:
        module, x, y = _made(fault)
        return subject_of(module, (x, y), loss="cross_entropy", name="net")

    return found


@pytest.fixture
def trial_of() -> Callable[..., Trial]:
    """Return ``trial_of(subject, attempts)``: a fresh trial on three parts of its data."""

    def found(subject: Subject, attempts: int = 8) -> Trial:
        parts: Parts = parts_of(subject.samples, None, 0)
        budget = Budget(seconds=None, attempts=attempts)
        return Trial(parts=parts, rules=choose_rules((), (), {}), seed=0, budget=budget)

    return found


def on(subject: Subject, x: Tensor) -> Tensor:
    """Return what a subject's network answers."""
    with torch.no_grad():
        return replace(subject).running.run((x,))
