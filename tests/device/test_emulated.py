"""The emulated device computes what the host does, and refuses what CUDA refuses."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from tests.device import emulated

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = torch.device("cpu")


def test_tensors_of_two_devices_are_refused(device: torch.device) -> None:
    here, there = torch.ones(3), torch.ones(3, device=device)
    mixtures: tuple[Callable[[], object], ...] = (
        lambda: here + there,
        lambda: torch.cat([here, there]),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: nn.functional.linear(there, torch.ones(2, 3)),
        lambda: nn.functional.conv1d(there.view(1, 1, 3), torch.ones(1, 1, 2)),
        lambda: torch.where(there > 0, here, there),
        lambda: there.gather(0, torch.tensor([0])),
    )
    for wrong in mixtures:
        with pytest.raises(RuntimeError):
            wrong()


def test_what_cuda_allows_is_allowed(device: torch.device) -> None:
    there = torch.ones(3, device=device)
    assert (there * torch.tensor(2.0))[torch.tensor([0, 1])].tolist() == [2, 2]
    there[torch.tensor([True, False, False])] = 5
    there[1:] = torch.zeros(2)
    assert there.tolist() == [5, 0, 0]


def test_generators_of_the_host_are_refused(device: torch.device) -> None:
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device=device, generator=torch.Generator())
    own = torch.Generator(device).manual_seed(1)
    again = torch.Generator(device).manual_seed(1)
    first, second = (torch.rand(3, device=device, generator=g) for g in (own, again))
    assert torch.equal(first, second)


def test_what_cannot_be_captured_is_refused(device: torch.device) -> None:
    if device.type == "cuda":
        pytest.skip("CUDA itself refuses it")
    there, mask = torch.ones(3, device=device), torch.tensor([True, False, True], device=device)
    place = torch.tensor([1], device=device)
    waits: tuple[Callable[[], object], ...] = (
        lambda: bool(mask.any()),
        lambda: there.sum().item(),
        there.cpu,
        lambda: torch.ones(3).to(device),
        lambda: torch.tensor([1.0], device=device),
        mask.nonzero,
        lambda: there[mask],
        lambda: there.masked_select(mask),
        lambda: torch.equal(there, there),
    )
    for waiting in waits:
        waiting()
        with emulated.capturing(), pytest.raises(RuntimeError, match="host would wait"):
            waiting()
    with emulated.capturing():
        there[place] = torch.where(mask, there * 2, 0.0).sum() + torch.zeros(1, device=device)
        there.masked_fill_(mask, 3)
    assert there.tolist() == [3, 4, 3]


def test_tensors_are_saved_and_loaded(device: torch.device) -> None:
    there = torch.arange(6.0, device=device).view(2, 3)
    buffer = io.BytesIO()
    torch.save({"whole": there, "part": there[1]}, buffer)
    buffer.seek(0)
    found = torch.load(buffer, map_location="cpu", weights_only=True)
    assert torch.equal(found["whole"], there.cpu())
    assert torch.equal(found["part"], there[1].cpu())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
def test_recurrent_layers_and_their_gradients(
    device: torch.device, kind: str, options: dict[str, int]
) -> None:
    torch.manual_seed(0)
    layer = getattr(nn, kind)(4, 5, batch_first=True, **options).double()
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    found = {}
    for place in (CPU, device):
        layer.to(place).zero_grad()
        out = layer(x.to(place))[0]
        out.square().sum().backward()
        found[place] = [out, *(p.grad for p in layer.parameters())]
    for there, here in zip(found[device], found[CPU], strict=True):
        assert there.device == device
        torch.testing.assert_close(there.cpu(), here.cpu())


def test_a_network_is_trained_and_exported(device: torch.device) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    network = nn.Sequential(*layers).to(device)
    x, labels = torch.randn(8, 1, 8, 8), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
    exported = torch.export.export(network.eval(), (x.to(device),))
    there = exported.module()(x.to(device))
    torch.testing.assert_close(there.cpu(), network.cpu()(x), rtol=1e-4, atol=1e-5)
