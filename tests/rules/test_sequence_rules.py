"""ATT001, ACT004 inside and RNN001 against planted faults."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.finding import Severity
from dnnrepair.observation import Phase
from dnnrepair.rules.degenerate_heads import DegenerateHeads
from dnnrepair.rules.recurrent_scale import RecurrentScale
from dnnrepair.rules.softmax_saturation import SoftmaxSaturation

WIDTH, HEADS, TOKENS = 16, 4, 8


class Attention(nn.Module):
    """One attention whose heads are neither uniform nor one-hot."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.head = nn.Linear(WIDTH, 3)
        with torch.no_grad():
            self.query.weight.mul_(3)
            self.key.weight.mul_(3)

    def forward(self, x: Tensor) -> Any:
        q, k, v = (
            part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head((x + self.out(y)).mean(1))


def tokens(samples: int = 200) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(samples, TOKENS, WIDTH, generator=rng)
    return x, x.mean(1)[:, :3].argmax(1)


def damaged(what: str, heads: int = 1) -> Attention:
    model, size = Attention(), WIDTH // HEADS * heads
    with torch.no_grad():
        if what == "dead":
            model.value.weight[:size] = 0
        if what == "weak":
            model.value.weight[:size] *= 0.02
            model.out.weight[:, :size] *= 40
        if what == "cut":
            model.out.weight[:, :size] = 0
        if what == "sharp":
            model.query.weight[:size] *= 500
        if what == "uniform":
            model.query.weight[:size] = 0
            model.query.bias[:size] = 0
        if what == "twin":
            for part in (model.query, model.key, model.value):
                part.weight[4:8] = part.weight[:4]
                part.bias[4:8] = part.bias[:4]
    return model


def test_healthy_heads_are_clean(judged: Any) -> None:
    for rule in (DegenerateHeads(), SoftmaxSaturation()):
        assert judged(rule, Attention(), *tokens()) == ([], [])


@pytest.mark.parametrize(
    ("what", "unit", "words"),
    [
        ("dead", 0, "hardly varies"),
        ("cut", 0, "not read"),
        ("sharp", 0, "attends to one key"),
        ("uniform", 0, "all keys alike"),
        ("twin", 1, "repeats another head"),
    ],
)
def test_a_degenerate_head_is_named(judged: Any, what: str, unit: int, words: str) -> None:
    (found,), _ = judged(DegenerateHeads(), damaged(what), *tokens())
    assert found.units == (unit,)
    assert found.severity is Severity.WARNING  # a quarter of four heads
    assert any(words in one for one in found.evidence)


def test_a_quiet_head_that_matters_is_a_note(judged: Any) -> None:
    (found,), _ = judged(DegenerateHeads(), damaged("weak"), *tokens())
    assert found.severity is Severity.NOTE
    assert found.units == (0,)


def test_fresh_heads_are_not_judged(judged: Any) -> None:
    found, (skip,) = judged(DegenerateHeads(), damaged("dead"), *tokens(), phase=Phase.INIT)
    assert found == []
    assert "fresh" in skip.reason


def test_all_heads_sharp_saturate_the_softmax(judged: Any) -> None:
    (found,), _ = judged(SoftmaxSaturation(), damaged("sharp", HEADS), *tokens())
    assert found.severity is Severity.WARNING
    assert found.measured < 0.02
    assert judged(SoftmaxSaturation(), damaged("sharp", 1), *tokens()) == ([], [])


def test_values_that_are_not_finite_are_left_to_num001(judged: Any) -> None:
    model = Attention()
    with torch.no_grad():
        model.key.weight[0, 0] = torch.nan
    for rule in (DegenerateHeads(), SoftmaxSaturation()):
        found, skips = judged(rule, model, *tokens())
        assert found == []
        assert skips
    reader = Reader(nn.LSTM)
    with torch.no_grad():
        reader.cell.weight_hh_l0[50, 0] = torch.nan
    found, skips = judged(RecurrentScale(), reader, torch.randn(64, 8, 4))
    assert found == []
    assert all("NUM001" in skip.reason for skip in skips)


class Gated(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        with torch.no_grad():
            self.gate.weight.mul_(scale)

    def forward(self, x: Tensor) -> Any:
        return self.head(torch.softmax(self.gate(x), -1) * x)


@pytest.mark.parametrize(("scale", "faulty"), [(1.0, False), (1e4, True)])
def test_a_gate_may_saturate_too(judged: Any, scale: float, faulty: bool) -> None:
    x = torch.randn(200, WIDTH)
    found, _ = judged(SoftmaxSaturation(), Gated(scale), x, x[:, :3].argmax(1))
    assert [one.layer for one in found] == (["gate"] if faulty else [])


class Reader(nn.Module):
    def __init__(self, cell: Any, scale: float = 1.0, *, each: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.each = each
        self.cell, self.head = cell(4, 24, batch_first=True), nn.Linear(24, 3)
        with torch.no_grad():
            self.cell.weight_hh_l0.mul_(scale)

    def forward(self, x: Tensor) -> Any:
        states = self.cell(x)[0]
        y: Tensor = self.head(states if self.each else states[:, -1])
        return y


CELLS = (nn.RNN, nn.LSTM, nn.GRU)


@pytest.mark.parametrize("cell", CELLS)
def test_healthy_cells_are_clean(judged: Any, cell: Any) -> None:
    assert judged(RecurrentScale(), Reader(cell), torch.randn(64, 8, 4)) == ([], [])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("scale", [0.02, 10.0])
def test_scaled_recurrent_weights_and_the_remedy(judged: Any, cell: Any, scale: float) -> None:
    model = Reader(cell, scale)
    (found,), _ = judged(RecurrentScale(), model, torch.randn(64, 8, 4))
    assert found.severity is Severity.WARNING
    assert (found.measured < 0.2) == (scale < 1)
    assert "gain from the first" in found.evidence[0]
    exec(found.remedies[0].code, {"model": model})
    assert judged(RecurrentScale(), model, torch.randn(64, 8, 4)) == ([], [])


@pytest.mark.parametrize(("each", "severity"), [(False, Severity.WARNING), (True, Severity.NOTE)])
def test_long_sequences_forget(judged: Any, each: bool, severity: Severity) -> None:
    model = Reader(nn.RNN, 0.8, each=each)
    (found,), _ = judged(RecurrentScale(), model, torch.randn(64, 60, 4))
    assert found.severity is severity
    assert found.measured < 1e-4
    assert found.site


def test_a_shut_forget_gate_is_a_note_and_the_remedy_opens_it(judged: Any) -> None:
    model = Reader(nn.LSTM)
    with torch.no_grad():
        model.cell.bias_ih_l0[24:48] = -3
    (found,), _ = judged(RecurrentScale(), model, torch.randn(64, 4, 4))
    assert found.severity is Severity.NOTE
    assert found.measured == pytest.approx(-3, abs=0.2)
    exec(found.remedies[0].code, {"model": model})
    total = model.cell.bias_ih_l0 + model.cell.bias_hh_l0
    assert total[24:48].mean().item() == pytest.approx(1, abs=0.01)
