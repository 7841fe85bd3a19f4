"""Device code of a generation of rand/1/bin. Importing this module imports Triton.

Plain torch needs 130 small kernels for what is asked, told and drawn; these are three. They compute
what :mod:`dnnrepair.evolve.rand1bin` does, bit for bit: integers wrap around alike, and
``enable_fp_fusion=False`` at the launch keeps products and sums apart.

Programs are for a block of candidates, a search, and a block of weights.
"""

# mypy: ignore-errors
# pyright: reportGeneralTypeIssues=false, reportMissingImports=false
# ruff: noqa: ANN001, ANN201, N803, PLR0913, PLR0917
# Triton reads this source: it is Python by its syntax only, and untyped.

from __future__ import annotations

import triton
from triton import language as tl


@triton.jit
def mixed(word):
    """Return the finalizer of SplitMix64 of uint64 words."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB
    return word ^ (word >> 31)


@triton.jit
def words(key, places):
    """Return the words of a key at int64 places, from 0."""
    return mixed(key + (places + 1).to(tl.uint64) * 0x9E3779B97F4A7C15)


@triton.jit
def below(word, bound):
    """Return int64 numbers in ``[0, bound)``."""
    return (((word >> 32) * bound.to(tl.uint64)) >> 32).to(tl.int64)


@triton.jit
def draw_program(
    seeds,  # (S,) int64
    generation,  # () int64
    dither,  # (2,) float64: the least scale, and the width of its range
    scale,  # (S,)
    donors,  # (3, S, P) int64, rows of all populations
    crosses,  # (S, P, K) uint8
    CHANCE,  # of a weight to cross, in units of 2**-53
    S,
    P,
    K,
    STREAM: tl.constexpr,
    BP: tl.constexpr,
    BK: tl.constexpr,
):
    """Draw the numbers of a generation."""
    s = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0).to(tl.int64) * BP + tl.arange(0, BP)
    k = tl.program_id(2) * BK + tl.arange(0, BK)
    now = tl.load(generation)
    key = mixed(mixed(tl.load(seeds + s).to(tl.uint64)) + (STREAM * 2 + 1))
    key = mixed(key + (now + 1).to(tl.uint64) * 0x9E3779B97F4A7C15)

    row = 1 + p * (4 + K)
    forced = below(words(key, row + 3), K + tl.zeros_like(row))
    word = words(key, row[:, None] + 4 + k[None, :])
    crossed = ((word >> 11).to(tl.int64) < CHANCE) | (forced[:, None] == k[None, :])
    inside = (p < P)[:, None] & (k < K)[None, :]
    places = (s * P + p)[:, None] * K + k[None, :]
    tl.store(crosses + places, (crossed & (now > 0)).to(tl.uint8), inside)

    if tl.program_id(2) == 0:
        others = P - 1 + tl.zeros_like(row)
        first = below(words(key, row), others)
        second = below(words(key, row + 1), others - 1)
        third = below(words(key, row + 2), others - 2)
        second += (second >= first).to(tl.int64)  # skips what is taken
        third += (third >= tl.minimum(first, second)).to(tl.int64)
        third += (third >= tl.maximum(first, second)).to(tl.int64)
        mine = donors + s * P + p
        tl.store(mine, s * P + (first + p + 1) % P, p < P)
        tl.store(mine + S * P, s * P + (second + p + 1) % P, p < P)
        tl.store(mine + 2 * S * P, s * P + (third + p + 1) % P, p < P)
        if tl.program_id(0) == 0:
            bits = (words(key, now * 0) >> 11).to(tl.int64).to(tl.float64)
            share = bits * 1.1102230246251565e-16  # 2**-53
            drawn = share * tl.load(dither + 1) + tl.load(dither)
            tl.store(scale + s, drawn.to(scale.dtype.element_ty))


@triton.jit
def ask_program(
    population,  # (S, P, K)
    scale,  # (S,)
    donors,  # (3, S, P) int64
    crosses,  # (S, P, K) uint8
    low,  # (K,), or (S, K)
    high,
    trials,  # (S, P, K)
    S,
    P,
    K,
    BOUNDS,  # from the bounds of a search to those of the next: 0 or K
    BP: tl.constexpr,
    BK: tl.constexpr,
):
    """Write what is to be evaluated."""
    s = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0).to(tl.int64) * BP + tl.arange(0, BP)
    k = tl.program_id(2) * BK + tl.arange(0, BK)
    inside = (p < P)[:, None] & (k < K)[None, :]
    mine = donors + s * P + p
    a = tl.load(mine, p < P, 0)[:, None] * K + k[None, :]
    b = tl.load(mine + S * P, p < P, 0)[:, None] * K + k[None, :]
    c = tl.load(mine + 2 * S * P, p < P, 0)[:, None] * K + k[None, :]
    difference = tl.load(population + b, inside, 0.0) - tl.load(population + c, inside, 0.0)
    mutant = tl.load(population + a, inside, 0.0) + tl.load(scale + s) * difference
    least = tl.load(low + s * BOUNDS + k, k < K, 0.0)[None, :]
    most = tl.load(high + s * BOUNDS + k, k < K, 0.0)[None, :]
    mutant = tl.minimum(tl.maximum(mutant, least), most)
    places = (s * P + p)[:, None] * K + k[None, :]
    parents = tl.load(population + places, inside, 0.0)
    crossed = tl.load(crosses + places, inside, 0) != 0
    tl.store(trials + places, tl.where(crossed, mutant, parents), inside)


@triton.jit
def best_of(fitness, found, alive, P, BEST: tl.constexpr):
    """Return the best fitness of a search whose trials were found to have another."""
    top = tl.full((BEST,), float("-inf"), tl.float64)
    for start in range(0, P, BEST):
        p = start + tl.arange(0, BEST)
        old = tl.load(fitness + p, p < P, float("-inf"))
        new = tl.load(found + p, p < P, float("-inf"))
        top = tl.maximum(top, tl.where((new >= old) & (alive != 0), new, old))
    return tl.max(top, axis=0)


@triton.jit
def tell_program(
    trials,  # (S, P, K)
    found,  # (S, P) float64, their fitness
    population,  # (S, P, K)
    fitness,  # (S, P) float64
    generation,  # () int64
    best,  # (S,) float64
    stale,  # (S,) int64
    active,  # (S,) uint8
    age,  # (S,) int64
    P,
    K,
    BP: tl.constexpr,
    BK: tl.constexpr,
    BEST: tl.constexpr,  # candidates of which one program finds the best at once
):
    """Put each trial that is at least as fit as its parent in its place.

    Programs may read a fitness before or after another has replaced it: both tell the same of who
    is accepted, and of the best.
    """
    s = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0).to(tl.int64) * BP + tl.arange(0, BP)
    k = tl.program_id(2) * BK + tl.arange(0, BK)
    alive = tl.load(active + s)
    old = tl.load(fitness + s * P + p, p < P, 0.0)
    new = tl.load(found + s * P + p, p < P, 0.0)
    accepted = (new >= old) & (alive != 0) & (p < P)
    inside = accepted[:, None] & (k < K)[None, :]
    places = (s * P + p)[:, None] * K + k[None, :]
    tl.store(population + places, tl.load(trials + places, inside, 0.0), inside)
    if tl.program_id(2) == 0:
        tl.store(fitness + s * P + p, new, accepted)
        if tl.program_id(0) == 0:
            reached = best_of(fitness + s * P, found + s * P, alive, P, BEST)
            risen = reached > tl.load(best + s)
            waited = tl.load(stale + s) + alive.to(tl.int64)
            tl.store(stale + s, tl.where(risen, 0, waited))
            tl.store(age + s, tl.load(age + s) + alive.to(tl.int64))
            tl.store(best + s, reached)
            if s == 0:
                tl.store(generation, tl.load(generation) + 1)
