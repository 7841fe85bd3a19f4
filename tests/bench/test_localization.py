"""The localization benchmark on a small network, and the data sets and networks it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from dnnrepair.bench.datasets import cifar10, fashion_mnist, scaled
from dnnrepair.bench.localization import CONTESTANTS, Found, find, summarize
from dnnrepair.bench.mutants import mutants
from dnnrepair.bench.reference_cnns import (
    CifarCNN,
    FashionCNN,
    FashionSimple,
    initialized,
    train,
)
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError
from dnnrepair.progress import silent
from dnnrepair.subject import Subject, subject_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def samples() -> ArraySamples:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(600, 8, generator=rng)
    return ArraySamples((x,), (x[:, :3] + 0.3 * x[:, 3:6]).argmax(1), "x")


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.fixture(scope="module")
def trained(samples: ArraySamples) -> nn.Module:
    assert samples.targets is not None
    return train(initialized(small, 0), samples.inputs[0], samples.targets, 100, 0)


@pytest.fixture(scope="module")
def subject(trained: nn.Module, samples: ArraySamples) -> Subject:
    return subject_of(trained, (samples.inputs[0], samples.targets))


def test_a_mutant_differs_in_one_weight(
    trained: nn.Module, subject: Subject, samples: ArraySamples
) -> None:
    rng = torch.Generator().manual_seed(0)
    for mutant, _ in zip(mutants(subject, samples, rng), range(3), strict=False):
        changed = {
            name: (value != subject.tensors[name]).nonzero().tolist()
            for name, value in mutant.subject.tensors.items()
        }
        assert changed.pop(mutant.place.tensor) == [list(mutant.place.index)]
        assert not any(changed.values())
        twin = initialized(small, 1)
        twin.load_state_dict(dict(mutant.subject.tensors))
        with torch.no_grad():
            before, after = (net(samples.inputs[0]).argmax(1) for net in (trained, twin))
        assert mutant.changed.tolist() == (before != after).tolist()
        assert mutant.changed.any()


def test_wrong_weights_are_found(subject: Subject, samples: ArraySamples) -> None:
    found = find("small", subject, samples, silent, count=6)
    assert [one.contestant for one in found] == list(CONTESTANTS)
    assert found == find("small", subject, samples, silent, count=6)
    by_name = {one.contestant: one for one in found}
    assert by_name["bidirectional"].auc > 0.8
    result = summarize(found, 1.0)
    assert len(result.tables[0].rows) == len(CONTESTANTS)
    assert [figure.name for figure in result.figures] == [
        "rank AUC, bidirectional, small",
        "seconds for 3.2 million weights and 230 inputs",
    ]


def test_auc_is_the_share_of_weights_behind_the_wrong_one() -> None:
    def one(*ranks: int) -> Found:
        return Found(network="x", contestant="bidirectional", weights=101, ranks=ranks)

    assert one(1, 1).auc == 1
    assert one(101).auc == 0
    assert one(1, 51).auc == 0.75
    assert one(1, 2).reciprocal == 0.75
    assert not summarize([one(51)]).met


@pytest.mark.parametrize(
    ("make", "shape", "kernels"),
    [
        (FashionCNN, (1, 28, 28), 108_432),
        (FashionSimple, (1, 28, 28), 79_400),
        (CifarCNN, (3, 32, 32), 544_864),
    ],
)
def test_reference_networks_have_their_sizes(
    make: type[nn.Module], shape: tuple[int, ...], kernels: int
) -> None:
    net = initialized(make, 0)
    assert net(torch.zeros(2, *shape)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters() if p.dim() > 1) == kernels


def test_training_is_the_same_for_the_same_seed(samples: ArraySamples, trained: nn.Module) -> None:
    assert samples.targets is not None
    again = train(initialized(small, 0), samples.inputs[0], samples.targets, 100, 0)
    for one, other in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    accuracy = (trained(samples.inputs[0]).argmax(1) == samples.targets).float().mean()
    assert float(accuracy) > 0.9


def test_data_sets_are_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data-dir"):
        fashion_mnist(tmp_path)
    (tmp_path / "fashion_mnist").mkdir()
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    labels = np.array([3, 9], np.uint8)
    np.savez(
        tmp_path / "fashion_mnist" / "fashion_mnist.npz",
        x_train=images,
        y_train=labels,
        x_test=images[:1],
        y_test=labels[:1],
    )
    found = fashion_mnist(tmp_path)
    assert found.train_x.shape == (2, 1, 28, 28)
    assert found.train_y.tolist() == [3, 9]
    assert scaled(found.test_x).max() == 1


def test_jpegs_are_decoded_in_order(tmp_path: Path) -> None:
    from io import BytesIO

    image = pytest.importorskip("PIL.Image")
    (tmp_path / "cifar10").mkdir()
    content = []
    for color in ((250, 10, 10), (10, 10, 250)):
        stream = BytesIO()
        image.new("RGB", (32, 32), color).save(stream, "JPEG")
        content.append(np.frombuffer(stream.getvalue(), np.uint8))
    ends = np.cumsum([0, *map(len, content)])
    stored = {"jpeg": np.concatenate(content), "offset": ends, "y": np.array([0, 2], np.uint8)}
    named: dict[str, Any] = {
        f"{key}_{part}": value for key, value in stored.items() for part in ("train", "test")
    }
    np.savez(tmp_path / "cifar10" / "cifar10_full_jpeg.npz", **named)
    found = cifar10(tmp_path)
    assert found.train_x.shape == (2, 3, 32, 32)
    assert found.train_x.float().mean((2, 3)).argmax(1).tolist() == [0, 2]
    assert found.test_y.tolist() == [0, 2]
