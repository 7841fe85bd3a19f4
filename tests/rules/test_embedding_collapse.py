"""EMB001 against collapsed, zeroed and unused rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnrepair.evidence.embedding_rows import EmbeddingRows
from dnnrepair.evidence.token_ids import TokenIds
from dnnrepair.finding import Severity
from dnnrepair.observation import Facts, Observations, Role, TensorInfo
from dnnrepair.rules.embedding_collapse import EmbeddingCollapse
from dnnrepair.sites import Site, Sites


class Reader(nn.Module):
    def __init__(self, rows: int = 100) -> None:
        super().__init__()
        self.tokens = nn.Embedding(rows, 32, padding_idx=0)
        self.places = nn.Embedding(6, 32)
        self.head = nn.Linear(32, 3)

    def forward(self, ids: Tensor) -> Tensor:
        places = self.places(torch.arange(ids.shape[1], device=ids.device))
        return self.head((self.tokens(ids) + places).mean(1))  # type: ignore[no-any-return]


def model(rows: int = 100) -> Reader:
    torch.manual_seed(0)
    return Reader(rows)


def ids(rows: int = 100) -> Tensor:
    return torch.randint(1, rows, (512, 6), generator=torch.Generator().manual_seed(1))


def test_healthy_embeddings_and_alike_positions(see: Any, say: Any) -> None:
    network = model()
    with torch.no_grad():
        network.places.weight.copy_(network.places.weight[:1].expand(6, 32).clone())
    assert say(EmbeddingCollapse(), see(network, ids(), rule=EmbeddingCollapse)) == ([], [])


def test_vectors_that_share_one_component(see: Any, say: Any) -> None:
    network = model()
    with torch.no_grad():
        weight = network.tokens.weight
        weight[1:] = weight[1:].mean(0) + 0.01 * weight[1:]
    (found,), _ = say(EmbeddingCollapse(), see(network, ids(), rule=EmbeddingCollapse))
    assert found.severity is Severity.WARNING
    rows = weight[1:].detach().double()
    cosines = nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    wanted = float((cosines.sum() - 99) / (99 * 98))
    assert found.measured == pytest.approx(wanted, rel=1e-6)
    exec(found.remedies[0].code, {"model": network})
    assert say(EmbeddingCollapse(), see(network, ids(), rule=EmbeddingCollapse))[0] == []


@pytest.mark.parametrize(("zeros", "severity"), [(3, Severity.NOTE), (30, Severity.WARNING)])
def test_rows_of_zeros(see: Any, say: Any, zeros: int, severity: Severity) -> None:
    network = model()
    with torch.no_grad():
        network.tokens.weight[1 : 1 + zeros] = 0
    (found,), _ = say(EmbeddingCollapse(), see(network, ids(), rule=EmbeddingCollapse))
    assert found.severity is severity
    assert found.units == tuple(range(1, 1 + zeros))


def test_unused_rows_are_noted_and_do_not_hide_a_collapse(see: Any, say: Any) -> None:
    network = model(1000)
    findings, _ = say(EmbeddingCollapse(), see(network, ids(100), rule=EmbeddingCollapse))
    assert [(f.severity, f.units) for f in findings] == [(Severity.NOTE, tuple(range(100, 1000)))]
    with torch.no_grad():
        weight = network.tokens.weight
        weight[1:100] = weight[1:100].mean(0) + 0.01 * weight[1:100]
    findings, _ = say(EmbeddingCollapse(), see(network, ids(100), rule=EmbeddingCollapse))
    assert findings[0].severity is Severity.WARNING


def test_participation_of_known_spectra() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(4000, 16)).astype(np.float32)
    line = np.outer(rng.normal(size=500), rng.normal(size=64)).astype(np.float32)
    assert EmbeddingRows(ids=np.arange(4000), vectors=flat).participation == pytest.approx(
        16, rel=0.02
    )
    assert EmbeddingRows(ids=np.arange(500), vectors=line).participation == pytest.approx(
        1, rel=1e-3
    )


def test_ids_beyond_the_table_are_errors(say: Any) -> None:
    site = Site(name="embedding", op="embedding", layer="tokens")
    counted = TokenIds(uses=np.ones(4, np.int64), lowest=0, highest=9)
    seen = Observations(
        sites=Sites((site,)), evidence={TokenIds: {"embedding": counted}, EmbeddingRows: {}}
    )
    (found,), _ = say(EmbeddingCollapse(), seen)
    assert found.severity is Severity.ERROR


@pytest.mark.parametrize(("name", "said"), [("tok_emb.weight", 1), ("pos_emb.weight", 0)])
def test_weights_alone_are_enough(say: Any, name: str, said: int) -> None:
    rng = np.random.default_rng(0)
    rows = EmbeddingRows(
        ids=np.arange(50),
        vectors=(1 + 0.01 * rng.normal(size=(50, 8))).astype(np.float32),
        used=False,
    )
    info = TensorInfo(name=name, layer="emb", role=Role.EMBEDDING, shape=(50, 8))
    seen = Observations(
        tensors={name: info}, facts=Facts(mode="weights"), evidence={EmbeddingRows: {name: rows}}
    )
    assert len(say(EmbeddingCollapse(), seen)[0]) == said
