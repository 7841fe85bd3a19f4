"""Attention statistics against loops over heads, queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.evidence.heads import Heads, HeadUse
from dnnrepair.evidence.softmax_use import SoftmaxUse
from dnnrepair.observe import observe
from dnnrepair.progress import silent
from dnnrepair.subject import subject_of

TOKENS, WIDTH = 6, 8


class Attention(nn.Module):
    """Attention in one of several hands: fused or written out, causal, masked, grouped."""

    mask: Tensor

    def __init__(self, how: str, heads: int = 2) -> None:
        super().__init__()
        self.how, self.heads = how, heads
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH // 2 if how == "grouped" else WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH // 2 if how == "grouped" else WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(TOKENS * WIDTH, 3)
        mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool)
        mask[:, 4:] = False
        self.register_buffer("mask", mask)

    def split(self, x: Tensor) -> Any:
        return x.unflatten(-1, (-1, WIDTH // self.heads)).transpose(1, 2)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        if self.how == "by hand":
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            return torch.softmax(scores, -1) @ v
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self.mask if self.how == "masked" else None,
            is_causal=self.how == "causal",
            enable_gqa=self.how == "grouped",
        )

    def forward(self, x: Tensor) -> Any:
        y = self.attend(*self.projected(x)).transpose(1, 2).flatten(2)
        return self.head(self.out(y).flatten(1))


def seen(module: nn.Module, kind: type, x: Tensor, y: Tensor | None = None) -> dict[str, Any]:
    data = x if y is None else (x, y)
    found = observe(
        subject_of(module.eval(), data),
        frozenset({kind}),
        seed=0,
        batch_size=64,
        progress=silent,
    )
    return dict(found.of(kind))


def inputs(samples: int = 20) -> Tensor:
    return torch.randn(samples, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


def slow(module: Attention, x: Tensor) -> tuple[list[float], list[float], Tensor]:
    """Return entropy and first-key mass per head, and outputs ``(heads, rows, d)``."""
    with torch.no_grad():
        q, k, v = module.projected(x)
    entropies: list[list[float]] = [[] for _ in range(module.heads)]
    sinks: list[list[float]] = [[] for _ in range(module.heads)]
    outputs = []
    for h in range(module.heads):
        kv = h * k.shape[1] // module.heads
        for n in range(len(x)):
            for t in range(TOKENS):
                keys = range(TOKENS)
                if module.how == "causal":
                    keys = range(t + 1)
                if module.how == "masked":
                    keys = range(4)
                scores = [float(q[n, h, t] @ k[n, kv, s]) / math.sqrt(q.shape[-1]) for s in keys]
                shares = np.exp(scores) / np.exp(scores).sum()
                outputs.append(sum(p * v[n, kv, s] for p, s in zip(shares, keys, strict=True)))
                if len(shares) > 1:
                    entropy = -(shares * np.log(shares)).sum() / math.log(len(shares))
                    entropies[h].append(float(entropy))
                    sinks[h].append(float(shares[0]))
    rows = torch.stack([torch.as_tensor(o) for o in outputs]).unflatten(0, (module.heads, -1))
    return [float(np.mean(e)) for e in entropies], [float(np.mean(s)) for s in sinks], rows.double()


@pytest.mark.parametrize("how", ["fused", "by hand", "causal", "masked", "grouped"])
def test_statistics_equal_loops(how: str) -> None:
    torch.manual_seed(0)
    module, x = Attention(how), inputs()
    with torch.no_grad():
        module.query.weight *= 4
    (found,) = seen(module, Heads, x).values()
    entropy, sink, rows = slow(module, x)
    np.testing.assert_allclose(found.mean_entropy, entropy, rtol=1e-4)
    np.testing.assert_allclose(found.mean_sink, sink, rtol=1e-4)
    spread = rows.var(1, correction=0).mean(1).sqrt()
    np.testing.assert_allclose(found.std, spread, rtol=1e-4)
    centered = (rows - rows.mean(1, keepdim=True)).flatten(1)
    wanted = F.cosine_similarity(centered[0], centered[1], dim=0)
    assert found.correlation[0, 1] == pytest.approx(float(wanted), abs=1e-4)
    assert not found.crossed


def test_batches_add_up() -> None:
    torch.manual_seed(0)
    module = Attention("fused")
    (whole,) = seen(module, Heads, inputs(300)).values()
    entropy, _, _ = slow(module, inputs(300))
    np.testing.assert_allclose(whole.mean_entropy, entropy, rtol=1e-4)
    assert whole.rows == 300 * TOKENS


def test_a_cut_head_costs_nothing_and_is_not_written() -> None:
    torch.manual_seed(0)
    module, x = Attention("fused"), inputs(64)
    with torch.no_grad():
        module.out.weight[:, :4] = 0
        module.value.weight[4:] *= 1e-3
        module.value.bias[4:] = 0
    y = torch.randint(0, 3, (64,))
    (found,) = seen(module, HeadUse, x, y).values()
    np.testing.assert_allclose(found.written, [0, 2], atol=1e-6)
    assert set(found.ablated) == {0, 1}
    assert found.ablated[0] == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        plain = float(F.cross_entropy(module(x), y))
        gathered = module.attend(*module.projected(x))
        gathered[:, 1] = gathered[:, 1].mean((0, 1), keepdim=True)
        out = module.head(module.out(gathered.transpose(1, 2).flatten(2)).flatten(1))
        cost = float(F.cross_entropy(out, y)) - plain
    assert found.ablated[1] == pytest.approx(cost, abs=1e-6)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(torch.softmax(self.gate(x), -1) * x)


def test_entropy_of_a_gate() -> None:
    module, x = Gated(), torch.randn(80, 8)
    (found,) = seen(module, SoftmaxUse, x).values()
    shares = torch.softmax(module.gate(x), -1).detach().double()
    entropy = -(shares * shares.log()).sum(1).mean() / math.log(8)
    assert found.mean_entropy == pytest.approx(float(entropy), rel=1e-5)
    assert not seen(Attention("by hand"), SoftmaxUse, inputs())
