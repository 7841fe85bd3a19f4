"""The live fallback: same sites and numbers as the graph; works where export cannot."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.export import export_module, from_module
from dnnrepair.live import LiveProgram
from dnnrepair.program import GraphProgram
from dnnrepair.sites import Kind


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(64, 8)
        self.act = nn.ELU(inplace=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2).flatten(1)
        x = self.act(self.fc(x)) + 1
        y: Tensor = self.out(F.dropout(x, 0.5, self.training))
        return y


class Branching(Net):
    """What the data say decides which way they go: torch.export refuses this."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if bool(y.sum() > 1e9) else -y


def test_live_and_graph_agree_on_sites_and_numbers() -> None:
    torch.manual_seed(0)
    module, x = Net().eval(), torch.randn(5, 1, 8, 8)
    graph, live = GraphProgram.of(export_module(module, (x,))), LiveProgram.of(module, (x,))
    torch.testing.assert_close(live.run((x,)), graph.run((x,)))

    def essence(program: Any) -> list[tuple[Any, ...]]:
        kept = [s for s in program.sites if s.kind not in (Kind.VIEW, Kind.OTHER, Kind.DROPOUT)]
        return [(s.op, s.layer, s.where, dict(s.tensors), s.shape, s.unit_dim % 4) for s in kept]

    assert [e[:2] + e[3:5] for e in essence(live)] == [e[:2] + e[3:5] for e in essence(graph)]
    assert {e[2] for e in essence(live)} == {e[2] for e in essence(graph)}
    assert {i.name: i.role for i in live.infos.values()} | {"norm.num_batches_tracked": None} == {
        i.name: i.role for i in graph.infos.values()
    } | {"norm.num_batches_tracked": None}


def test_a_network_that_cannot_be_exported_is_watched_live() -> None:
    torch.manual_seed(0)
    module, x = Branching().eval(), torch.randn(5, 1, 8, 8)
    program, notes = from_module(module, (x,))
    assert program.mode == "live"
    assert "torch.export failed" in notes[0]
    torch.testing.assert_close(program.run((x,)), module(x))
    seen: list[str] = []
    program.run((x,), watch=lambda site, _a, _v: seen.append(site.op))
    assert {"input", "conv2d", "batch_norm", "relu", "linear", "elu"} <= set(seen)


def test_live_training_mode_changes_no_buffer_and_no_mode() -> None:
    module = Branching().eval()
    x = torch.randn(5, 1, 8, 8)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    program, _ = from_module(module, (x,))
    program.run((x,), training=True)
    assert not any(part.training for part in module.modules())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_live_gradients_reach_replaced_tensors() -> None:
    module, x = Branching().eval(), torch.randn(5, 1, 8, 8)
    program, _ = from_module(module, (x,))
    weight = program.tensors["fc.weight"].clone().requires_grad_()
    program.run((x,), tensors={"fc.weight": weight}).square().sum().backward()
    module(x).square().sum().backward()
    assert weight.grad is not None
    assert module.fc.weight.grad is not None
    torch.testing.assert_close(weight.grad, module.fc.weight.grad)
