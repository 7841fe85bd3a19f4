"""Small networks with every kind of layer that can be patched, and a slow oracle for them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.population import Place
from dnnrepair.subject import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Convolutions(nn.Module):
    """Groups, strides, dilation, depthwise and transposed convolutions; normalizations; pools."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, groups=2)
        self.bn = nn.BatchNorm2d(6)
        self.depth = nn.Conv2d(6, 12, 3, padding="same", groups=6)
        self.prelu = nn.PReLU(12)
        self.conv2 = nn.Conv2d(12, 5, 3, stride=2, padding=2, dilation=2, bias=False)
        self.up = nn.ConvTranspose2d(5, 4, 3, stride=2, padding=1, output_padding=1, groups=1)
        self.up2 = nn.ConvTranspose2d(4, 4, 2, groups=2, bias=False)
        self.group = nn.GroupNorm(2, 4)
        self.head = nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv1(x)))
        x = F.max_pool2d(self.prelu(self.depth(x)), 2)
        x = F.gelu(self.up(F.silu(self.conv2(x))))
        x = self.group(self.up2(x))
        y: Tensor = self.head(F.adaptive_avg_pool2d(x, 4).flatten(1))
        return y


class Residual(nn.Module):
    """Shortcuts that pad channels, branches that are joined, a scale per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.left = nn.Conv2d(8, 3, 1)
        self.right = nn.Conv2d(8, 5, 1)
        self.gamma = nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.stem(x)), inplace=True)
        y = self.norm2(self.conv1(x))
        x = F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
        z = torch.cat([self.left(x), torch.tanh(self.right(x))], dim=1)
        x = x + self.gamma * z
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Signals(nn.Module):
    """One and three dimensions, a linear layer over positions, a product with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding=1)
        self.norm = nn.InstanceNorm1d(4, affine=True)
        self.mix = nn.Linear(8, 6)
        self.volume = nn.Conv3d(1, 2, (1, 2, 2))
        self.up = nn.ConvTranspose1d(2, 2, 2)
        self.matrix = nn.Parameter(torch.randn(32, 3) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(torch.sigmoid(self.norm(self.conv(x))))  # (n, 4, 6)
        x = self.volume(x.unsqueeze(1).unsqueeze(1))  # (n, 2, 1, 3, 5)
        x = self.up(F.elu(x.squeeze(2).flatten(2)))  # (n, 2, 16)
        return x.reshape(-1, 32) @ self.matrix


class Words(nn.Module):
    """A recurrent layer over embedded tokens."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.rnn = getattr(nn, kind)(5, 4, **options)
        width = options.get("proj_size", 4) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(width, 3)
        self.batch_first = options.get("batch_first", False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x = x if self.batch_first else x.transpose(0, 1)
        states = self.rnn(x)[0]
        y: Tensor = self.head(states[:, -1] if self.batch_first else states[-1])
        return y


class Tower(nn.Module):
    """A GRU on a convolution, both of which may be patched, and its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 5, 3)
        self.rnn = nn.GRU(5, 4, num_layers=2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.rnn(F.relu(self.conv(x)).transpose(1, 2))
        y: Tensor = self.head(last[-1])
        return y


class Attention(nn.Module):
    """A transformer block with learned positions and weights shared by embedding and head."""

    def __init__(self, *, norm_first: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 8)
        self.position = nn.Parameter(torch.randn(5, 8) * 0.1)
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=norm_first)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.blocks(self.embedding(tokens) + self.position)
        y: Tensor = self.head(x.mean(1))
        return y


class Gated(nn.Module):
    """Chunks, products of two patched values, softmax, layer norm, operations without a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(6, 12)
        self.norm = nn.LayerNorm(6)
        self.mixed = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.wide(x).chunk(2, dim=-1)
        x = self.norm(value * torch.sigmoid(gate) + x)
        x = x + torch.softmax(self.mixed(x), -1) * F.hardswish(x[:, :6])
        x = torch.cumsum(x, 1) / 3 + x.roll(1, 1)
        y: Tensor = self.head(torch.where(x > 0, x, 0.1 * x))
        return y


class Weird(nn.Module):
    """Weights of weights: weight norm, and a layer whose weight is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5))
        self.left = nn.Parameter(torch.randn(4, 2) * 0.5)
        self.right = nn.Parameter(torch.randn(2, 5) * 0.5)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.normed(x)) * self.log_scale.exp()
        y: Tensor = self.head(F.relu(F.linear(x, self.left @ self.right)))
        return y


class Pixels(nn.Module):
    """A label per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(F.relu(self.conv(x)))
        return y


def normal(*shape: int) -> Callable[[int], Tensor]:
    return lambda n: torch.randn(n, *shape)


def tokens(n: int) -> Tensor:
    return torch.randint(0, 7, (n, 5))


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 4))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor]]] = {
    "mlp": (plain, normal(6)),
    "convolutions": (Convolutions, normal(2, 8, 8)),
    "residual": (Residual, normal(1, 8, 8)),
    "signals": (Signals, normal(2, 8)),
    "lstm": (lambda: Words("LSTM", batch_first=True), tokens),
    "lstm-deep": (lambda: Words("LSTM", num_layers=2, bidirectional=True), tokens),
    "lstm-projected": (lambda: Words("LSTM", proj_size=3, batch_first=True), tokens),
    "gru": (lambda: Words("GRU", bidirectional=True, batch_first=True), tokens),
    "gru-deep": (lambda: Words("GRU", num_layers=3, bias=False), tokens),
    "rnn": (lambda: Words("RNN", batch_first=True), tokens),
    "rnn-relu": (lambda: Words("RNN", nonlinearity="relu", num_layers=2), tokens),
    "tower": (Tower, normal(2, 7)),
    "attention": (Attention, tokens),
    "attention-post": (lambda: Attention(norm_first=False), tokens),
    "gated": (Gated, normal(6)),
    "weird": (Weird, normal(6)),
    "pixels": (Pixels, normal(1, 4, 4)),
    "binary": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1)), normal(6)),
}


@dataclass(frozen=True)
class Case:
    """A network with inputs and labels, most of which it gets right."""

    name: str
    module: nn.Module
    inputs: Tensor
    labels: Tensor
    subject: Subject

    def __repr__(self) -> str:
        return self.name

    @property
    def samples(self) -> Any:
        assert self.subject.samples is not None
        return self.subject.samples

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.module.named_parameters()}

    def places(self, count: int, rng: torch.Generator, only: str = "") -> list[Place]:
        """Return random places, in a random mix of tensors."""
        names = [name for name in self.parameters if only in name]
        picked = torch.randperm(len(names), generator=rng)[: 1 + count // 3].tolist()
        found: dict[Place, None] = {}
        room = sum(self.parameters[names[i]].numel() for i in picked)
        while len(found) < min(count, room):
            which = int(torch.randint(len(picked), (1,), generator=rng))
            name = names[picked[which]]
            shape = self.parameters[name].shape
            index = tuple(int(torch.randint(size, (1,), generator=rng)) for size in shape)
            found[Place(name, index)] = None
        return list(found)

    def values(self, places: list[Place], count: int, scale: float, rng: torch.Generator) -> Tensor:
        """Return random candidates around the present weights."""
        own = torch.stack([self.parameters[place.tensor][place.index] for place in places])
        noise = torch.randn(count, len(places), generator=rng, dtype=own.dtype)
        return own + scale * noise

    def eager(self, places: list[Place], row: Tensor) -> Tensor:
        """Return what the module itself answers with one candidate's values."""
        module = deepcopy(self.module)
        with torch.no_grad():
            for place, value in zip(places, row, strict=True):
                module.get_parameter(place.tensor)[place.index] = value
            found: Tensor = module(self.inputs)
        return found


def labels_for(logits: Tensor) -> Tensor:
    """Return labels of which the network gets some 80 % right."""
    if logits.shape[-1] == 1:
        found = (logits[:, 0] > 0).long()
        classes = 2
    else:
        dim = 1 if logits.dim() == 4 else -1
        found, classes = logits.argmax(dim), logits.shape[dim]
    wrong = torch.rand(found.shape) < 0.2
    return torch.where(wrong, (found + 1) % classes, found)


def make_case(name: str, dtype: torch.dtype = torch.float32, count: int = 23) -> Case:
    torch.manual_seed(sum(map(ord, name)))
    make, inputs_of = NETWORKS[name]
    module = make().eval().to(dtype)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    inputs = inputs_of(count)
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    with torch.no_grad():
        labels = labels_for(module(inputs))
    subject = subject_of(module, (inputs, labels), task="classify")
    return Case(name, module, inputs, labels, subject)


@pytest.fixture(scope="session", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> Case:
    """Return one of the networks."""
    return make_case(request.param)


@pytest.fixture(scope="session", params=[*NETWORKS])
def exact_case(request: pytest.FixtureRequest) -> Case:
    """Return one of the networks in double precision."""
    return make_case(request.param, torch.float64)


@pytest.fixture(scope="session")
def mlp() -> Case:
    """Return the simplest network."""
    return make_case("mlp", count=50)


@pytest.fixture(scope="session")
def cases() -> Callable[[str, int], Case]:
    """Return a maker of networks by name, with so many inputs."""
    return cache(lambda name, count: make_case(name, count=count))
