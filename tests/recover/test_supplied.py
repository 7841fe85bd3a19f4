"""Training functions that users supply."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.bits import digest
from dnnrepair.data import ArraySamples
from dnnrepair.recover import Lesson, RecoveryError, recover_with


def teach(
    module: nn.Module, train: ArraySamples, valid: ArraySamples, rng: torch.Generator
) -> None:
    del valid
    assert module.training
    assert train.targets is not None
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    for _ in range(20):
        part = torch.randperm(train.size, generator=rng)[:100]
        optimizer.zero_grad()
        F.cross_entropy(module(train.inputs[0][part]), train.targets[part]).backward()
        optimizer.step()


def fail(*_: object) -> None:
    message = "out of coffee"
    raise ZeroDivisionError(message)


def spoil(module: nn.Module, *_: object) -> None:
    for parameter in module.parameters():
        parameter.data.fill_(torch.nan)


def test_it_trains_a_copy(plain: nn.Module, lesson: Lesson, rng: torch.Generator) -> None:
    before = digest(dict(plain.state_dict()))
    found = recover_with(teach, plain, lesson, generator=rng)
    assert digest(dict(plain.state_dict())) == before
    assert found.best == 1
    assert found.reason == "teach is done"
    assert found.kept.valid_accuracy > found.history[0].valid_accuracy + 0.2


def test_one_that_raises_is_named_and_changes_nothing(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    before = digest(dict(plain.state_dict()))
    words = "function fail raised ZeroDivisionError: out of coffee; the network is as it was"
    with pytest.raises(RecoveryError, match=words):
        recover_with(fail, plain, lesson, generator=rng)
    assert digest(dict(plain.state_dict())) == before


def test_what_is_worse_is_not_kept(plain: nn.Module, lesson: Lesson, rng: torch.Generator) -> None:
    found = recover_with(spoil, plain, lesson, generator=rng)
    assert found.best == 0
    assert found.reason == "spoil left a loss of nan; went back to the network as it came"
    assert digest(dict(found.module.state_dict())) == digest(dict(plain.state_dict()))


def test_one_that_returns_no_network_is_refused(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    with pytest.raises(RecoveryError, match="returned int; return a network, or None after"):
        recover_with(lambda *_: 3, plain, lesson, generator=rng)  # type: ignore[arg-type]
