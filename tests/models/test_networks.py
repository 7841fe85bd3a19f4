"""The reference networks: accurate, exportable, reproducible, cheap to name."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from dnnrepair import models
from dnnrepair.errors import ModelError, UnknownNameError
from dnnrepair.models.recipe import networks, train
from dnnrepair.request import Request
from dnnrepair.subject import open_subject

if TYPE_CHECKING:
    from pathlib import Path

CLASSIFIERS = [n for n in models.names() if networks[n].task == "classify"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_network_reaches_its_accuracy(name: str) -> None:
    """Counted by hand, sample by sample, on digits it was not trained on."""
    reference = models.build(name)
    assert reference.targets is not None
    right = 0
    with torch.no_grad():
        for x, y in zip(reference.inputs[0].split(100), reference.targets.split(100), strict=True):
            right += sum(
                int(a) == int(b) for a, b in zip(reference.module(x).argmax(1), y, strict=True)
            )
    assert right / len(reference.targets) >= 0.93
    assert reference.accuracy == pytest.approx(right / len(reference.targets))


def test_the_regressor_explains_the_digit() -> None:
    reference = models.build("regressor")
    assert reference.targets is not None
    with torch.no_grad():
        error = torch.nn.functional.mse_loss(reference.module(*reference.inputs), reference.targets)
    assert float(error / reference.targets.var()) < 0.1


def test_generated_images_are_as_far_apart_as_real_ones() -> None:
    reference = models.build("dcgan")
    assert reference.targets is not None
    with torch.no_grad():
        images = reference.module(*reference.inputs)
    assert images.shape == reference.targets.shape
    ratio = torch.pdist(images.flatten(1)).mean() / torch.pdist(reference.targets.flatten(1)).mean()
    assert 0.8 < float(ratio) < 1.25


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize("name", models.names())
def test_a_fresh_network_exports(name: str) -> None:
    """With any batch size, and the exported program computes the same."""
    reference = models.build(f"{name}:init")
    example = (reference.inputs[0][:4],)
    free = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(reference.module, example, dynamic_shapes=free)
    more = reference.inputs[0][:7]
    with torch.no_grad():
        torch.testing.assert_close(program.module()(more), reference.module(more))


@pytest.mark.parametrize("name", ["mlp-relu", "cnn-fmp", "layernorm-mlp", "lstm"])
def test_a_seed_gives_the_same_weights(name: str) -> None:
    """Twice from scratch, whatever torch's random state, which stays as it was."""
    torch.manual_seed(1)
    one = train(networks[name], 3).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    two = train(networks[name], 3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], two[key]) for key in one)
    other = train(networks[name], 4).state_dict()
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_trained_weights_are_kept_in_a_folder(tmp_path: Path) -> None:
    one = models.build("tabular", seed=5, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    two = models.build("tabular", seed=5, cache=tmp_path)
    assert file.stat().st_mtime_ns == written
    for key, value in one.module.state_dict().items():
        assert torch.equal(value, two.module.state_dict()[key])


def test_two_references_share_no_weights() -> None:
    one, two = models.build("mlp-relu"), models.build("mlp-relu")
    with torch.no_grad():
        for value in one.module.parameters():
            value.zero_()
    assert all(bool(value.any()) for value in two.module.parameters())


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="mlp-relu"):
        models.build("mlp-rely")
    with pytest.raises(UnknownNameError, match="dead-units"):
        models.build("mlp-relu+dead-unit")
    with pytest.raises(UnknownNameError, match="weak, medium, strong"):
        models.build("mlp-relu+dead-units@huge")
    with pytest.raises(UnknownNameError, match="unit-permutation"):
        models.build("mlp-relu+look:unit-permutatio")
    with pytest.raises(ModelError, match="does not apply"):
        models.build("mlp-relu:init+stale-mean")
    with pytest.raises(ModelError, match="init"):
        models.build("mlp-relu:fresh")


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, dnnrepair.models; print('torch' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", models.names())
def test_a_network_opens_by_its_name(name: str) -> None:
    subject = open_subject(Request(model=f"models:{name}:init"))
    assert subject.program is not None
    assert subject.samples is not None
    assert (subject.training is None) == (networks[name].task == "generate")
