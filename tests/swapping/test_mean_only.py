"""Mean-only batch norms against the formula, in training and out of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.diagnose import diagnose
from dnnrepair.errors import SettingError
from dnnrepair.models import build
from dnnrepair.selection import choose_rules
from dnnrepair.subject import subject_of
from dnnrepair.swap_report import Promise
from tests.swapping.small import answer, applied, inputs_of, jolted, reference, rng
from tests.swapping.test_operations import DEAD, mlp


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_mean_only_norm_takes_the_mean_of_each_batch_away(kind: torch.dtype) -> None:
    layers = [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3)]
    module = jolted(nn.Sequential(*layers)).to(kind)
    x = (3 * torch.randn(40, 2, 6, 6, generator=rng())).to(kind)
    before = subject_of(module, (x, torch.arange(40) % 3))
    found = applied(before, "norm", "0", kind="mean")
    assert found.swaps[0].promise is Promise.EXACT
    coarse = kind in (torch.float16, torch.bfloat16)
    off = 2e-2 if coarse else 1e-5
    torch.testing.assert_close(answer(found.subject, x), answer(before, x), rtol=off, atol=off)

    trained = found.module.train()
    old = trained.get_buffer("layer_0_norm.running_mean").clone()
    bias = trained.get_parameter("layer_0_norm.bias")
    trained(x[:16]).square().sum().backward()
    first, *rest = copy.deepcopy(module).train().children()
    shift = bias.detach().clone().requires_grad_()
    z = first(x[:16])
    mean = z.mean((0, 2, 3))
    centered = z - mean[:, None, None] + shift[:, None, None]
    last = nn.Sequential(*rest)
    last(centered).square().sum().backward()
    for grown, known in (
        (trained.get_buffer("layer_0_norm.running_mean"), 0.9 * old + 0.1 * mean.detach()),
        (bias.grad, shift.grad),
        (trained.get_parameter("0.weight").grad, first.get_parameter("weight").grad),
        (trained.get_parameter("3.weight").grad, last.get_parameter("2.weight").grad),
    ):
        assert grown is not None
        assert known is not None
        scale = float(known.detach().abs().max())
        torch.testing.assert_close(grown / scale, known.detach() / scale, rtol=off, atol=off)
    assert "layer_0_norm.scale" in dict(trained.named_buffers())  # stays as it is


def test_a_mean_only_norm_leaves_the_scale_to_a_weight_norm() -> None:
    before = reference("cnn", torch.float64)
    found = applied(before, "norm", "conv1", kind="mean")
    both = applied(found.subject, "norm", "conv1", kind="weight")
    x = inputs_of(before)
    old = answer(before, x)
    assert (answer(both.subject, x) - old).abs().max() <= 1e-12 * old.abs().max()
    assert {"conv1.weight_g", "conv1.weight_v", "conv1_norm.bias"} <= set(both.subject.tensors)
    with pytest.raises(SettingError, match="conv1 is followed by a batch norm already"):
        applied(found.subject, "norm", "conv1", kind="mean")


def test_units_behind_a_mean_only_norm_are_revived() -> None:
    dead = mlp(nn.ReLU, -1000.0)
    found = applied(applied(dead, "norm", "0", kind="mean").subject, "revive")
    x = inputs_of(dead)
    assert torch.allclose(answer(found.subject, x), answer(dead, x), atol=1e-5)
    seen: dict[str, Tensor] = {}

    def watch(site: Any, _arguments: Any, value: Any) -> None:
        seen[site.op] = value

    with torch.no_grad():
        found.subject.running.run([x], watch=watch)
    z = seen["batch_norm"][:, list(DEAD)]
    assert torch.allclose(z.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(z.std(0, correction=0), torch.ones(3), atol=1e-3)


def test_what_a_mean_only_norm_holds_is_judged_like_a_batch_norm() -> None:
    built = build("cnn")
    assert built.targets is not None
    data = (built.inputs[0][:600], built.targets[:600])
    trained = subject_of(built.module, data, name="cnn")
    subject = applied(trained, "norm", "conv*", kind="mean").subject
    rules = choose_rules(["BN002", "BN003"], [], {})
    assert not diagnose(subject, rules).findings
    subject.tensors["conv1_norm.running_mean"].add_(0.5)
    assert ("BN002", "conv1_norm") in {(f.code, f.layer) for f in diagnose(subject, rules).findings}
