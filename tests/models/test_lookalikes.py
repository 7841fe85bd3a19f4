"""Look-alikes: what they must not change, they do not change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dnnrepair import models
from dnnrepair.models.lookalikes import lookalikes

NETWORKS = ("mlp-relu", "cnn", "cnn-bn", "mlp-tanh", "tabular", "lstm")
PRESERVING = [
    (network, name)
    for network in NETWORKS
    for name in lookalikes
    if lookalikes[name].preserving and lookalikes[name].applies(models.build(f"{network}:init"))
]


@pytest.mark.parametrize(("network", "name"), PRESERVING)
def test_outputs_stay_the_same(network: str, name: str) -> None:
    before, after = models.build(network), models.build(f"{network}+look:{name}")
    with torch.no_grad():
        wanted, found = before.module(*before.inputs), after.module(*after.inputs)
    scale = float(wanted.abs().max())
    torch.testing.assert_close(found, wanted, atol=1e-5 * max(scale, 1), rtol=0)


def test_every_preserving_look_alike_is_tested() -> None:
    assert {name for _, name in PRESERVING} == {n for n in lookalikes if lookalikes[n].preserving}


@pytest.mark.parametrize(
    "spec",
    [
        "mlp-relu+look:l1-sparse",
        "mlp-relu+look:training-mode",
        "mlp-relu+look:imbalanced",
        "mlp-relu+look:imagenet-inputs",
        "mlp-relu+look:signed-inputs",
        "cnn-bn+look:pruned",
        "cnn-bn+look:int8-grid",
        "cnn-bn+look:class-subset",
    ],
)
def test_a_look_alike_is_healthy(spec: str) -> None:
    assert (models.build(spec).accuracy or 0) >= 0.93


def test_a_rescaled_convolution_is_larger() -> None:
    before, after = models.build("cnn-bn"), models.build("cnn-bn+look:bn-rescale")
    ratio = after.module.get_parameter("conv1.weight") / before.module.get_parameter("conv1.weight")
    torch.testing.assert_close(ratio, torch.full_like(ratio, 8.0))


def test_masked_weights_are_zero() -> None:
    weight = models.build("mlp-relu+look:pruned").module.get_parameter("layers.2.weight")
    assert 0.05 < float((weight == 0).float().mean()) < 0.6


def test_the_grid_has_255_levels() -> None:
    weight = models.build("mlp-relu+look:int8-grid").module.get_parameter("layers.2.weight")
    levels = weight.detach() / weight.detach().abs().max() * 127
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_a_frozen_backbone_asks_for_gradients_of_the_head_alone() -> None:
    module = models.build("mlp-relu+look:frozen-backbone").module
    asking = {name for name, value in module.named_parameters() if value.requires_grad}
    assert asking == {"head.weight", "head.bias"}


def test_sparse_training_leaves_small_weights() -> None:
    plain, sparse = (models.build(spec).module for spec in ("mlp-relu", "mlp-relu+look:l1-sparse"))
    small = [
        float((m.get_parameter("layers.2.weight").abs() < 1e-3).float().mean())
        for m in (plain, sparse)
    ]
    assert small[1] > small[0] + 0.3


def test_the_majority_is_as_large_as_it_says() -> None:
    targets = models.build("mlp-relu+look:imbalanced").targets
    assert targets is not None
    assert 0.88 < float((targets == 0).float().mean()) < 0.92


def test_a_network_handed_over_in_training_mode_is_in_training_mode() -> None:
    module = models.build("mlp-relu+look:training-mode").module
    assert module.training
    assert any(isinstance(part, nn.Dropout) and part.p == 0.5 for part in module.modules())


def test_branches_started_at_zero_add_nothing() -> None:
    reference = models.build("resnet20+look:zero-gamma")
    assert not reference.trained
    added = []
    block = reference.module.get_submodule("blocks.1.bn2")
    handle = block.register_forward_hook(lambda _m, _x, y: added.append(float(y.abs().max())))
    with torch.no_grad():
        reference.module(reference.inputs[0][:8])
    handle.remove()
    assert added == [0.0]
