"""Residual additions: which additions are, which are not, and which side is the branch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.program import GraphProgram
from dnnrepair.residual import residuals
from dnnrepair.sites import Sites


def sites_of(module: nn.Module, inputs: Tensor) -> Sites:
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(module.eval(), (inputs,), dynamic_shapes=dynamic)
    return GraphProgram.of(exported).sites


class Block(nn.Module):
    def __init__(self, *, down: bool, branch_first: bool = False) -> None:
        super().__init__()
        out = 8 if down else 4
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.one = nn.Conv2d(4, out, 3, padding=1)
        self.two = nn.Conv2d(out, out, 3, padding=1)
        self.short = nn.Conv2d(4, out, 1) if down else nn.Identity()
        self.branch_first = branch_first

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        branch = self.two(self.one(x).relu())
        pair = (branch, self.short(x)) if self.branch_first else (self.short(x), branch)
        return torch.add(*pair)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("branch_first", [False, True])
def test_shortcuts_are_found(*, down: bool, branch_first: bool) -> None:
    sites = sites_of(Block(down=down, branch_first=branch_first), torch.randn(2, 3, 6, 6))
    (found,) = residuals(sites)
    assert sites[found.branch].layer == "two"
    assert sites[found.skip].layer == ("short" if down else "stem")
    assert found.skip_first is not branch_first


class OptionA(nn.Module):
    """The parameter-free shortcut of the CIFAR ResNets: every other pixel, zero channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.one = nn.Conv2d(4, 8, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        short = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return torch.add(self.one(x), short)


def test_a_shortcut_without_parameters_is_found() -> None:
    (found,) = residuals(sites_of(OptionA(), torch.randn(2, 3, 6, 6)))
    assert found.skip_first is False


def test_attention_and_feed_forward_branches_are_separate() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
    sites = sites_of(nn.Sequential(nn.Linear(5, 8), layer), torch.randn(2, 3, 5))
    attention, feed = residuals(sites)
    assert (
        "out_proj" in sites[attention.branch].layer or "self_attn" in sites[attention.branch].layer
    )
    assert feed.skip == attention.site.name


class Sums(nn.Module):
    """Sums that are no residual connections."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 8)
        self.places = nn.Embedding(4, 8)
        self.bias = nn.Parameter(torch.randn(8))
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        self.left, self.right = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1])) + self.bias
        mask = (ids == 0).float().unsqueeze(1) * -1e9
        scores = self.query(x) @ self.key(x).mT + mask
        x = scores.softmax(-1) @ x
        return torch.add(self.left(x).relu(), self.right(x).relu())


def test_biases_positions_masks_and_parallel_branches_are_none() -> None:
    assert residuals(sites_of(Sums(), torch.randint(0, 9, (3, 4)))) == ()


class Cell(nn.Module):
    """A recurrence written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.inner(x[:, 0]))
        for step in range(1, 4):
            h = torch.tanh(self.inner(x[:, step]) + self.outer(h))
        return h


def test_a_recurrence_by_hand_is_none() -> None:
    assert residuals(sites_of(Cell(), torch.randn(2, 4, 3))) == ()
