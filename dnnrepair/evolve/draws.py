"""Random numbers that are functions of (seed, stream, generation, index) and of nothing else.

So a search in a batch draws what it draws alone, on any device and at any world size, and goes on
from its seed and generation. Words are 64 random bits, held as int64; arithmetic wraps around.
All of it is elementwise: nothing waits for the device, and shapes do not depend on data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.evolve.rounded import cauchy_quantile, normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64
_MANTISSA = {torch.float32: 24, torch.float64: 53}


def seed_words(seeds: Sequence[int], device: torch.device) -> Tensor:
    """Return any integers as words ``(S,)``; they count modulo 2**64.

    Raises:
        SettingError: if there are none.
    """
    if not seeds:
        message = "no seeds: give one for each search"
        raise SettingError(message)
    signed = [(seed + 2**63) % 2**64 - 2**63 for seed in seeds]
    return torch.tensor(signed, dtype=torch.int64, device=device)


def keys(seeds: Tensor, stream: int, generations: Tensor) -> Tensor:
    """Return the words ``(B, S)`` under which seeds ``(S,)`` draw in generations ``(B,)``.

    Args:
        seeds: words, one for each search.
        stream: what the numbers are for; other streams are independent.
        generations: from 0, int64.
    """
    by_seed = _mixed(_mixed(seeds) + stream * 2 + 1)
    return _mixed(by_seed + (generations[:, None] + 1) * _GAMMA)


def words(key: Tensor, count: int) -> Tensor:
    """Return ``(*, count)`` words for keys ``(*,)``: SplitMix64 (Steele, Lea and Flood 2014)."""
    steps = torch.arange(1, count + 1, device=key.device)
    return _mixed(key[..., None] + steps * _GAMMA)


def uniform(word: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return multiples of 2**-24 (float32) or 2**-53 (float64), uniform in [0, 1)."""
    bits = _MANTISSA[dtype]
    return _shifted(word, 64 - bits).to(dtype) * 2.0**-bits


def chance(word: Tensor, probability: float) -> Tensor:
    """Return what is true with a probability in [0, 1]: exactly ``uniform(word) < probability``."""
    return _shifted(word, 11) < units_of(probability)


def units_of(probability: float) -> int:
    """Return how many of the 2**53 numbers that :func:`uniform` draws lie below a probability."""
    return math.ceil(probability * 2.0**53)


def below(word: Tensor, bound: Tensor | int) -> Tensor:
    """Return integers in [0, bound), uniform up to ``bound / 2**32``; the bound is below 2**31."""
    return (_shifted(word, 32) * bound) >> 32


def normal(word: Tensor) -> Tensor:
    """Return standard normal numbers, float64."""
    return normal_quantile(_between(word))


def cauchy(word: Tensor) -> Tensor:
    """Return standard Cauchy numbers, float64."""
    return cauchy_quantile(_between(word))


def distinct(word: Tensor) -> Tensor:
    """Return for each of P members three others, all different: ``(*, P, 3)`` from as many words.

    Uniform over the ordered triples, up to ``P / 2**32``. P is at least 4.
    """
    members = word.shape[-2]
    first, second, third = (below(word[..., i], members - 1 - i) for i in range(3))
    second = second + (second >= first)  # skips what is taken
    third = third + (third >= torch.minimum(first, second))
    third = third + (third >= torch.maximum(first, second))
    targets = torch.arange(1, members + 1, device=word.device)
    return (torch.stack((first, second, third), dim=-1) + targets[:, None]) % members


def _between(word: Tensor) -> Tensor:
    """Return float64 numbers in (0, 1), symmetric about 1/2."""
    return (_shifted(word, 12).to(torch.float64) + 0.5) * 2.0**-52


def _mixed(word: Tensor) -> Tensor:
    """Return the finalizer of SplitMix64, a bijection of words."""
    word = _shifted(word, 30).bitwise_xor_(word).mul_(_FIRST)
    word = _shifted(word, 27).bitwise_xor_(word).mul_(_SECOND)
    return _shifted(word, 31).bitwise_xor_(word)


def _shifted(word: Tensor, places: int) -> Tensor:
    """Shift to the right with zeros coming in, which int64 alone does not do; a new tensor."""
    return (word >> places).bitwise_and_((1 << (64 - places)) - 1)
