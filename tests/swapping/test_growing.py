"""Units that are split or added: against networks widened by hand, and where they cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.errors import DataError, SettingError
from dnnrepair.subject import Subject, subject_of
from dnnrepair.swap_report import Promise
from dnnrepair.swapping.operations.add_units import AddUnits
from dnnrepair.swapping.operations.split import Split
from dnnrepair.swapping.plan import planned
from dnnrepair.swapping.where import Where
from tests.swapping.small import answer, applied, inputs_of, jolted, network, reference, rng


def mlp() -> Subject:
    """Return a network whose units 4 and 7 have the longest outgoing weights."""
    module = jolted(nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3)))
    with torch.no_grad():
        module.get_parameter("2.weight")[:, [4, 7]] *= 10
    x = torch.randn(200, 6, generator=rng(2))
    return subject_of(module, (x, torch.arange(200) % 3), name="net")


def test_the_heaviest_units_are_split_as_one_would_by_hand() -> None:
    before = mlp()
    found = applied(before, "split", count=2, share=0.3)
    (swap,) = found.swaps
    assert (swap.promise, swap.units, found.structural) == (Promise.EXACT, 2, True)
    old, new = before.tensors, found.subject.tensors
    assert torch.equal(new["0.weight"], torch.cat([old["0.weight"], old["0.weight"][[4, 7]]]))
    assert torch.equal(new["0.bias"], torch.cat([old["0.bias"], old["0.bias"][[4, 7]]]))
    outgoing = old["2.weight"].clone()
    outgoing[:, [4, 7]] *= 0.7
    copies = 0.3 * old["2.weight"][:, [4, 7]]
    torch.testing.assert_close(new["2.weight"], torch.cat([outgoing, copies], dim=1))
    x = inputs_of(before)
    torch.testing.assert_close(answer(found.subject, x), answer(before, x))


@pytest.mark.parametrize(("share", "alike"), [(0.5, True), (0.3, False)])
def test_halves_learn_alike_and_other_shares_do_not(share: float, *, alike: bool) -> None:
    before = mlp()
    found = applied(before, "split", "0", share=share)
    assert ("learn alike until dropout" in found.swaps[0].reason) is alike
    module = found.module.train()
    F.cross_entropy(module(inputs_of(before)), torch.arange(200) % 3).backward()
    gradient = module.get_parameter("0.weight").grad
    assert gradient is not None
    unit = int(before.tensors["2.weight"].norm(dim=0).argmax())
    assert torch.allclose(gradient[unit], gradient[10]) is alike


def test_units_that_a_finding_names_are_split() -> None:
    before = mlp()
    where = Where(layers=("0",), units={"0": (2, 5)}, because="ACT003")
    after = applied(before, "split", where, count=2).subject
    assert torch.equal(after.tensors["0.weight"][10:], before.tensors["0.weight"][[2, 5]])
    with pytest.raises(SettingError, match="0: 3 of 2 units cannot be split"):
        applied(before, "split", where, count=3)


class Images(nn.Module):
    """Convolutions, a batch norm, a pool, and a flattening with channels first or last."""

    def __init__(self, *, last: bool) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.conv2, self.head = nn.Conv2d(5, 4, 3, padding=1), nn.Linear(36, 3)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.norm(self.conv1(x)).relu(), 2)
        x = self.conv2(x).relu()
        x = x.permute(0, 2, 3, 1) if self.last else x
        y: Tensor = self.head(x.flatten(1))
        return y


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", ["split", "add-units"])
def test_units_of_images_grow_through_norms_pools_and_flattening(name: str, *, last: bool) -> None:
    module = jolted(Images(last=last).double())
    x = torch.randn(64, 1, 6, 6, generator=rng()).double()
    before = subject_of(module, (x, torch.arange(64) % 3))
    found = applied(before, name, count=2)
    new = found.subject.tensors
    shapes = {key: tuple(value.shape) for key, value in new.items() if value.dim()}
    assert shapes["conv1.weight"] == (7, 1, 3, 3)
    assert shapes["norm.weight"] == shapes["norm.running_var"] == (7,)
    assert shapes["conv2.weight"] == (6, 7, 3, 3)
    assert shapes["head.weight"] == (3, 54)
    torch.testing.assert_close(answer(found.subject, x), answer(before, x), rtol=0, atol=1e-12)
    columns = new["head.weight"].reshape(3, *((9, 6) if last else (6, 9)))
    added = columns[..., 4:] if last else columns[:, 4:]
    assert bool(added.any()) is (name == "split")


def test_added_units_are_fresh_unread_and_ready_to_learn() -> None:
    before = mlp()
    found = applied(before, "add-units", count=4)
    (swap,) = found.swaps
    assert (swap.promise, swap.units) == (Promise.EXACT, 4)
    x, new = inputs_of(before), found.subject.tensors
    assert torch.equal(new["0.weight"][:10], before.tensors["0.weight"])
    assert torch.equal(new["2.weight"][:, :10], before.tensors["2.weight"])
    assert not new["2.weight"][:, 10:].any()
    z = F.linear(x, new["0.weight"], new["0.bias"])[:, 10:]
    assert torch.allclose(z.mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(z.std(0, correction=0), torch.ones(4), atol=1e-4)
    module = found.module.train()
    F.cross_entropy(module(x), torch.arange(200) % 3).backward()
    gradient = module.get_parameter("2.weight").grad
    assert gradient is not None
    assert gradient[:, 10:].abs().min() > 0
    other = applied(before, "add-units", count=4, seed=1).subject.tensors
    assert not torch.equal(other["0.weight"], new["0.weight"])


def test_layers_that_cannot_grow_say_why_and_stay_as_they_are() -> None:
    slopes = nn.Sequential(
        nn.Linear(6, 4), nn.PReLU(4), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)
    )
    x = torch.randn(32, 6, generator=rng())
    before = subject_of(jolted(slopes), (x, torch.arange(32) % 3))
    found = applied(before, "split")
    assert found.skipped == ("1: its number of units is spelled out, or other tensors go by it",)
    assert found.swaps[0].layers == ("2",)
    assert found.subject.tensors["0.weight"].shape == (4, 6)
    with pytest.raises(SettingError, match="1: its number of units is spelled out"):
        applied(before, "split", "1")
    with pytest.raises(SettingError, match="is a grouped convolution, whose units hang together"):
        applied(grouped(), "add-units", "0")
    with pytest.raises(SettingError, match="mixes units or is no layer"):
        applied(reference("resnet20"), "split", "blocks.0.bn2")
    with pytest.raises(SettingError, match=r"a split takes a share in \(0, 1\), not 1"):
        applied(before, "split", share=1.0)


def grouped() -> Subject:
    layers = [nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]
    x = torch.randn(16, 2, 6, 6, generator=rng())
    return subject_of(nn.Sequential(*layers), (x, torch.arange(16) % 3))


def test_options_of_both_are_read() -> None:
    first, second = planned({"split": ["4,share=0.4:conv1"], "add-units": ["8"]})
    assert (first.place, first.operation) == ("conv1", Split(count=4, share=0.4))
    assert second.operation == AddUnits(count=8)
    for value, message in (
        ("four", "--split.count takes an integer, not 'four'; its default is 1"),
        ("0", "--split.count takes numbers of at least 1, not '0'"),
        ("4,shar=0.4", "--split has no setting 'shar'; did you mean 'share'"),
        ("4,0.4", "--split 4,0.4: write settings as name=value"),
    ):
        with pytest.raises(SettingError, match=message):
            planned({"split": [value]})


def test_added_units_need_data() -> None:
    from dataclasses import replace

    with pytest.raises(DataError, match="add-units measures the layer's values: give data"):
        applied(replace(mlp(), samples=None), "add-units")
    with pytest.raises(SettingError, match="no activations before the outputs"):
        applied(network([nn.Linear(6, 3)]), "split")
