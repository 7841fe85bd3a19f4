"""Random numbers: published ones, evenly spread, the same in any company."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dnnrepair.errors import SettingError
from dnnrepair.evolve import draws

SEEDS = st.integers(-(2**70), 2**70)
CPU = torch.device("cpu")


def mixed(word: int) -> int:
    """Steele, Lea and Flood's finalizer in plain integers."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def unsigned(words: torch.Tensor) -> list[int]:
    return [word % 2**64 for word in words.flatten().tolist()]


def many(count: int, stream: int = 5) -> torch.Tensor:
    key = draws.keys(draws.seed_words([7], CPU), stream, torch.tensor([3]))
    return draws.words(key, count)[0, 0]


def test_the_published_sequence_of_splitmix64() -> None:
    assert unsigned(draws.words(torch.tensor(1234567), 5)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(SEEDS, st.integers(0, 9), st.integers(0, 2**40), st.integers(1, 20))
def test_words_are_those_of_plain_integers(seed: int, stream: int, time: int, count: int) -> None:
    gamma = 0x9E3779B97F4A7C15
    by_seed = mixed((mixed(seed % 2**64) + 2 * stream + 1) % 2**64)
    key = mixed((by_seed + (time + 1) * gamma) % 2**64)
    wanted = [mixed((key + i * gamma) % 2**64) for i in range(1, count + 1)]
    keys = draws.keys(draws.seed_words([seed], CPU), stream, torch.tensor([time]))
    assert unsigned(draws.words(keys, count)) == wanted


@given(st.lists(SEEDS, min_size=1, max_size=5), st.integers(0, 1000), st.integers(1, 40))
def test_what_is_drawn_alone_is_drawn_in_company(seeds: list[int], time: int, count: int) -> None:
    def drawn(chosen: list[int], times: list[int]) -> torch.Tensor:
        keys = draws.keys(draws.seed_words(chosen, CPU), 1, torch.tensor(times))
        word = draws.words(keys, count)
        return torch.stack((draws.normal(word), draws.cauchy(word), draws.uniform(word)))

    together = drawn(seeds, [time, time + 1])
    for place, seed in enumerate(seeds):
        assert torch.equal(together[:, 1, place], drawn([seed], [time + 1])[:, 0, 0])


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 24), (torch.float64, 53)])
def test_uniform_numbers_have_all_their_bits(dtype: torch.dtype, bits: int) -> None:
    word = many(4000)
    whole = draws.uniform(word, dtype).double() * 2.0**bits
    assert [int(x) for x in whole.tolist()] == [x >> (64 - bits) for x in unsigned(word)]


def test_distributions_are_what_they_are_called() -> None:
    word = many(20_000)
    assert stats.kstest(draws.uniform(word), "uniform").pvalue > 1e-3
    assert stats.kstest(draws.normal(word), "norm").pvalue > 1e-3
    assert stats.kstest(draws.cauchy(word), "cauchy").pvalue > 1e-3
    counts = np.bincount(draws.below(word, 7), minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert len(counts) == 7


@given(st.floats(0, 1))
def test_a_chance_is_a_comparison(probability: float) -> None:
    word = many(300)
    assert torch.equal(draws.chance(word, probability), draws.uniform(word) < probability)


def test_streams_generations_and_seeds_are_unrelated() -> None:
    keys = [draws.keys(draws.seed_words([1, 2], CPU), s, torch.arange(2)) for s in range(2)]
    rows = draws.uniform(draws.words(torch.stack(keys), 5000)).flatten(0, -2)
    related = np.corrcoef(rows.numpy()) - np.eye(8)
    assert np.abs(related).max() < 5 / np.sqrt(5000)


@given(st.integers(4, 60), st.integers(0, 1000))
def test_three_others_are_three_and_others(members: int, seed: int) -> None:
    word = draws.words(torch.tensor([seed]), members * 3).view(members, 3)
    for target, others in enumerate(draws.distinct(word).tolist()):
        assert len({target, *others}) == 4
        assert all(0 <= other < members for other in others)


def test_every_three_others_are_as_likely() -> None:
    members, rounds = 5, 4000
    found = draws.distinct(many(rounds * members * 3).view(rounds, members, 3))
    for target in range(members):
        codes = (found[:, target] * torch.tensor([25, 5, 1])).sum(dim=1)
        others = [place for place in range(members) if place != target]
        wanted = [a * 25 + b * 5 + c for a, b, c in permutations(others, 3)]
        counts = np.bincount(codes, minlength=125)[wanted]
        assert counts.sum() == rounds
        assert stats.chisquare(counts).pvalue > 1e-4


def test_no_seeds_are_refused() -> None:
    with pytest.raises(SettingError, match="no seeds"):
        draws.seed_words([], CPU)
