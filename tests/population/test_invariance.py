"""Results do not depend on how candidates and inputs are cut.

Chunks and populations change no bit. Blocks of another size may: libraries then add up products of
the unpatched network in another order. There results are held to 2^-20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnrepair.fitness import Arachne, Margin
from dnnrepair.population import EvaluatorSettings, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

COUNT, CANDIDATES = 45, 19
EXACT = [
    ("mlp", "0."),
    ("mlp", "2."),
    ("mlp", "4."),
    *((name, "") for name in ("convolutions", "residual", "signals", "lstm-deep", "gru", "rnn")),
    *((name, "") for name in ("tower", "attention", "gated", "weird", "pixels", "binary")),
]
NEARLY = [("mlp", "2."), ("residual", ""), ("lstm", ""), ("gated", "")]
seeds = st.integers(0, 10**6)


class Drawn:
    """Random places, candidates and weights on a network."""

    def __init__(self, case: Any, only: str, seed: int, searches: int = 1) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.case, self.places = case, case.places(1 + seed % 8, rng, only)
        self.values: Tensor = case.values(self.places, CANDIDATES, 0.5, rng)
        self.weights = 10 * torch.rand(searches, len(case.labels), generator=rng)

    def evaluator(self, weights: Tensor | None = None, **options: Any) -> Any:
        fitness = Arachne(self.weights if weights is None else weights)
        chosen = EvaluatorSettings(**{"block": COUNT, **options})
        return prepare(self.case.subject, self.places, self.case.samples, fitness, chosen)


@pytest.mark.parametrize(("name", "only"), EXACT)
@settings(max_examples=2)
@given(seed=seeds, chunk=st.integers(1, 20))
def test_chunks_and_populations_change_no_bit(
    cases: Callable[[str, int], Any], name: str, only: str, seed: int, chunk: int
) -> None:
    drawn = Drawn(cases(name, COUNT), only, seed)
    values, whole = drawn.values, drawn.evaluator()
    wanted, verdicts = whole(values), whole.verdicts(values)
    cut = drawn.evaluator(chunk=chunk)
    assert torch.equal(cut(values), wanted)
    assert torch.equal(cut.verdicts(values), verdicts)
    assert torch.equal(torch.cat([whole(part) for part in values.split(7)]), wanted)
    assert torch.equal(torch.cat([whole(value.unsqueeze(0)) for value in values]), wanted)
    order = torch.randperm(CANDIDATES, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(whole(values[order]), wanted[order])


@pytest.mark.parametrize(("name", "only"), NEARLY)
@settings(max_examples=2)
@given(seed=seeds, chunk=st.integers(1, 20), block=st.integers(1, 48))
def test_cuts_of_any_size_change_no_more_than_rounding(
    cases: Callable[[str, int], Any], name: str, only: str, seed: int, chunk: int, block: int
) -> None:
    drawn = Drawn(cases(name, COUNT), only, seed)
    whole, cut = drawn.evaluator(), drawn.evaluator(chunk=chunk, block=block)
    torch.testing.assert_close(cut(drawn.values), whole(drawn.values), rtol=2**-20, atol=0)
    assert torch.equal(cut.verdicts(drawn.values), whole.verdicts(drawn.values))


@pytest.mark.parametrize("name", ["mlp", "convolutions", "lstm"])
@settings(max_examples=2)
@given(seed=seeds, chunk=st.integers(1, 20))
def test_disk_gives_back_what_memory_would(
    cases: Callable[[str, int], Any], name: str, seed: int, chunk: int
) -> None:
    drawn = Drawn(cases(name, COUNT), "", seed)
    options: Any = {"chunk": chunk, "block": 13}
    memory, disk = drawn.evaluator(**options), drawn.evaluator(**options, memory=0)
    assert torch.equal(disk(drawn.values), memory(drawn.values))
    assert torch.equal(disk.logits(drawn.values), memory.logits(drawn.values))


@pytest.mark.parametrize("name", ["mlp", "attention"])
@settings(max_examples=2)
@given(seed=seeds, searches=st.integers(2, 4), chunk=st.sampled_from([3, 8, 100]))
def test_searches_together_find_what_each_finds_alone(
    cases: Callable[[str, int], Any], name: str, seed: int, searches: int, chunk: int
) -> None:
    drawn = Drawn(cases(name, COUNT), "", seed, searches)
    values = torch.stack([drawn.values.roll(s, 0) + 0.1 * s for s in range(searches)])
    found = drawn.evaluator(chunk=chunk)(values)
    assert found.shape == (searches, CANDIDATES)
    for s in range(searches):
        alone = drawn.evaluator(drawn.weights[s])(values[s])
        assert torch.equal(found[s], alone)


def test_a_margin_is_the_same_in_any_cut(cases: Callable[[str, int], Any]) -> None:
    drawn = Drawn(cases("mlp", COUNT), "2.", 3)
    fitness = Margin(drawn.weights[0], 0.5)
    found = [
        prepare(
            drawn.case.subject,
            drawn.places,
            drawn.case.samples,
            fitness,
            EvaluatorSettings(block=COUNT, chunk=chunk),
        )(drawn.values)
        for chunk in (19, 1, 3, 8)
    ]
    assert all(torch.equal(other, found[0]) for other in found)
