"""No candidate changes a certified verdict; enough are certified; refusals have reasons."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair import models
from dnnrepair.bounds import certify
from dnnrepair.errors import SettingError
from dnnrepair.export import from_module
from dnnrepair.program import GraphProgram

if TYPE_CHECKING:
    from dnnrepair.models.reference import Reference

Place = tuple[str, int]


class Residual(nn.Module):
    """Groups, batch norms, a sum, pools, a transposed convolution, in-place activations."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 4, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.two = nn.Conv2d(4, 4, 3, padding="same", groups=2, bias=False)
        self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1)
        self.act = nn.LeakyReLU(0.1, inplace=True)
        self.head = nn.Linear(6 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.one(x)))
        x = x + F.silu(self.two(x))
        x = F.max_pool2d(self.up(x), 3, 2, 1)
        x = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return F.dropout(self.head(x), 0.5, self.training)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 6)
        self.norm = nn.LayerNorm(6)
        self.scale = nn.Parameter(torch.rand(6))
        self.mix = nn.Conv1d(6, 8, 2, dilation=2)
        self.act = nn.PReLU(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.table(x)) * self.scale
        x = self.act(self.mix(x.transpose(1, 2)))
        return F.log_softmax(self.head(x.mean(2)), 1)


class Steps(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = getattr(nn, kind)(3, 4, 2, batch_first=True, bidirectional=kind == "GRU")
        self.head = nn.Linear(8 if kind == "GRU" else 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.head(self.cell(x)[0][:, -1]), 1)


class Product(nn.Module):
    """Hand-written products, and an output that no Linear gives."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(4, 6))
        self.shift = nn.Parameter(torch.randn(6))
        self.second = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.addmm(self.shift, x, self.first)
        return torch.tanh(self.second(torch.tanh(x) / (1 + x.abs())))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 6), nn.ReLU6(), nn.Linear(6, 4))


def _attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.1)
    return nn.Sequential(layer, nn.Flatten(1), nn.Linear(12, 3))


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (_mlp, (4,)),
    "residual": (Residual, (2, 8, 8)),
    "words": (Words, (5,)),
    "lstm": (lambda: Steps("LSTM"), (3, 3)),
    "gru": (lambda: Steps("GRU"), (3, 3)),
    "rnn": (lambda: Steps("RNN"), (3, 3)),
    "product": (Product, (4,)),
    "attention": (_attention, (3, 4)),
}


@cache
def network(name: str) -> tuple[GraphProgram, Tensor]:
    """Return an untrained network and 40 inputs."""
    make, shape = NETWORKS[name]
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make().eval()
    inputs = torch.randn(40, *shape, generator=rng)
    inputs = inputs.abs().mul(2).long() % 7 if name == "words" else inputs
    program, _ = from_module(module, (inputs[:3],))
    assert isinstance(program, GraphProgram)
    return program, inputs


def draw_places(program: GraphProgram, count: int, rng: torch.Generator) -> list[Place]:
    """Return weights of several tensors, all kinds alike."""
    names = [name for name, info in program.infos.items() if info.trainable]
    found: dict[Place, None] = {}
    while len(found) < count:
        name = names[int(torch.randint(len(names), (), generator=rng))]
        index = int(torch.randint(program.tensors[name].numel(), (), generator=rng))
        found[name, index] = None
    return list(found)


def verdicts(
    program: GraphProgram, places: list[Place], values: Tensor, inputs: Tensor, labels: Tensor
) -> Tensor:
    """Write the weights, run the whole network: the slow way, ``(n,)``."""
    changed = {name: program.tensors[name].clone() for name, _ in places}
    for (name, index), value in zip(places, values, strict=True):
        changed[name].view(-1)[index] = value
    with torch.no_grad():
        logits = program.run([inputs], tensors=changed)
    return logits.gather(1, labels[:, None])[:, 0] >= logits.amax(1)


def candidates(low: Tensor, high: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return corners of a box and points within, ``(count, k)``."""
    share = torch.rand(count, len(low), generator=rng)
    share[::2] = share[::2].round()
    return torch.minimum(torch.maximum(low + share * (high - low), low), high)


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=4)
@given(
    seed=st.integers(0, 2**20),
    count=st.integers(1, 5),
    reach=st.sampled_from([1e-4, 0.03, 0.3, 1.0]),
    double=st.booleans(),
)
def test_no_candidate_changes_a_certified_verdict(
    name: str, seed: int, count: int, reach: float, double: bool
) -> None:
    program, inputs = network(name)
    if double and name not in {"lstm", "gru", "rnn"}:  # their first states are float32
        program = program.with_tensors(
            {n: t.double() for n, t in program.tensors.items() if t.is_floating_point()}
        )
        inputs = inputs.double() if inputs.is_floating_point() else inputs
    rng = torch.Generator().manual_seed(seed)
    places = draw_places(program, count, rng)
    now = torch.stack([program.tensors[name].reshape(-1)[i] for name, i in places]).float()
    ends = now + reach * torch.randn(2, count, generator=rng)  # need not hold what is there now
    low, high = ends.amin(0), ends.amax(0)
    labels = program.run([inputs]).argmax(1)
    labels[:5] = (labels[:5] + 1) % 3  # wrong before the search
    found = certify(program, places, low, high, [inputs], labels)
    assert not found.reason
    for values in candidates(low, high, 20, rng):
        broken = found.correct & ~verdicts(program, places, values, inputs, labels)
        assert not broken.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_narrow_boxes_leave_nearly_all_verdicts(name: str) -> None:
    program, inputs = network(name)
    places = draw_places(program, 3, torch.Generator().manual_seed(1))
    now = torch.stack([program.tensors[name].reshape(-1)[i] for name, i in places])
    labels = program.run([inputs]).argmax(1)
    found = certify(program, places, now - 1e-5, now + 1e-5, [inputs], labels)
    assert found.correct.float().mean() >= 0.75


@cache
def reference(name: str) -> tuple[Reference, GraphProgram]:
    built = models.build(name)
    program, _ = from_module(built.module, tuple(x[:4] for x in built.inputs))
    assert isinstance(program, GraphProgram)
    return built, program


def arachne_box(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return Arachne's bounds (Sohn, Kang and Yoo, TOSEM 2023): twice the layer's range."""
    least, most = float(weight.min()), float(weight.max())
    low, high = (2 * least if least < 0 else least / 2), (2 * most if most > 0 else most / 2)
    return torch.full((count,), low), torch.full((count,), high)


@pytest.mark.parametrize(
    ("name", "tensor", "count", "share"),
    [
        ("mlp-relu", "layers.0.weight", 3, 0.9),
        ("mlp-relu", "layers.2.weight", 3, 0.95),
        ("mlp-relu", "layers.4.weight", 10, 0.9),
        ("mlp-relu", "head.weight", 3, 0.9),
        ("cnn", "conv2.weight", 3, 0.9),
        ("cnn", "fc.weight", 10, 0.85),
    ],
)
def test_most_verdicts_are_certified_in_arachnes_box(
    name: str, tensor: str, count: int, share: float
) -> None:
    built, program = reference(name)
    assert built.targets is not None
    inputs, labels = built.inputs[0][:200], built.targets[:200]
    weight, rng = program.tensors[tensor], torch.Generator().manual_seed(2)
    places = [(tensor, int(i)) for i in torch.randperm(weight.numel(), generator=rng)[:count]]
    low, high = arachne_box(weight, count)
    found = certify(program, places, low, high, [inputs], labels)
    right = program.run([inputs]).argmax(1) == labels
    assert found.correct.sum() >= share * right.sum()
    for values in candidates(low, high, 20, rng):
        assert verdicts(program, places, values, inputs, labels)[found.correct].all()


def test_cutting_the_box_certifies_more() -> None:
    built, program = reference("mlp-relu")
    assert built.targets is not None
    inputs, labels = built.inputs[0][:200], built.targets[:200]
    places = [("layers.0.weight", 64 * row + 20) for row in range(0, 64, 7)]
    low, high = arachne_box(program.tensors["layers.0.weight"], len(places))
    whole, cut = (
        certify(program, places, low, high, [inputs], labels, halvings=halvings).correct
        for halvings in (0, 4)
    )
    assert cut[whole].all()
    assert cut.sum() > whole.sum()


def test_a_fixed_batch_size_is_kept() -> None:
    program, inputs = network("mlp")
    module = _mlp().eval()
    fixed = GraphProgram.of(torch.export.export(module, (inputs[:7],)))
    assert fixed.batch_size == 7
    labels = torch.cat([fixed.run([part]) for part in inputs[:35].split(7)]).argmax(1)
    place, now = [("0.weight", 3)], fixed.tensors["0.weight"].view(-1)[3:4]
    found = certify(fixed, place, now - 0.1, now + 0.1, [inputs[:33]], labels[:33])
    free = program.with_tensors(fixed.tensors)
    assert found.correct.float().mean() > 0.5
    for values in candidates(now - 0.1, now + 0.1, 10, torch.Generator().manual_seed(0)):
        assert verdicts(free, place, values, inputs[:33], labels[:33])[found.correct].all()


def test_places_that_no_logit_reads_leave_every_verdict() -> None:
    program, inputs = network("mlp")
    weight = program.tensors["4.weight"].clone()
    weight[:, 2] = 0  # nobody listens to unit 2
    deaf = program.with_tensors({"4.weight": weight})
    labels = deaf.run([inputs]).argmax(1)
    place = [("2.weight", 2 * 8)]
    found = certify(deaf, place, torch.tensor([-50.0]), torch.tensor([50.0]), [inputs], labels)
    top = deaf.run([inputs]).topk(2).values
    clear = top[:, 0] - top[:, 1] > 1e-2
    assert found.correct[clear].all()


class Refused(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        if self.how == "write":
            x[:, 0] *= 2.0
        elif self.how == "copy":
            whole = torch.zeros(x.shape[0], 3)
            whole[:, 1] = x[:, 0]
            x = whole
        else:
            x = torch.cumprod(x, 1) if self.how == "cumprod" else x[:, :, None]
        return x


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cumprod", "no interval rule for aten.cumprod"),
        ("write", "writing to memory"),
        ("copy", "no interval rule for aten.copy"),
        ("shape", "not (samples, classes)"),
    ],
)
def test_what_cannot_be_bounded_is_not_certified(how: str, reason: str) -> None:
    program, _ = from_module(Refused(how), (torch.randn(3, 4),))
    assert isinstance(program, GraphProgram)
    one = torch.ones(1)
    labels = torch.zeros(5, dtype=torch.long)
    found = certify(program, [("layer.weight", 0)], -one, one, [torch.randn(5, 4)], labels)
    assert reason in found.reason
    assert not found.correct.any()


@pytest.mark.parametrize(
    ("places", "low", "high", "message"),
    [
        ([("0.weight", 32)], [0.0], [1.0], "no weight 32"),
        ([("9.weight", 0)], [0.0], [1.0], "no weight 0 in '9.weight'"),
        ([("0.weight", 0)] * 2, [0.0] * 2, [1.0] * 2, "named twice"),
        ([("0.weight", 0)], [1.0], [0.0], "box is empty"),
        ([("0.weight", 0)], [0.0], [float("nan")], "box is empty"),
        ([], [], [], "0 places"),
    ],
)
def test_a_wrong_box_is_refused(
    places: list[Place], low: list[float], high: list[float], message: str
) -> None:
    program, inputs = network("mlp")
    labels = torch.zeros(len(inputs), dtype=torch.long)
    with pytest.raises(SettingError, match=message):
        certify(program, places, torch.tensor(low), torch.tensor(high), [inputs], labels)
