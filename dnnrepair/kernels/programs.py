"""The scoring kernels' device code. Importing this module imports Triton.

A program scores a block of candidates on a block of inputs. Every thread does the whole arithmetic
of its (candidate, input) pairs in a fixed order: sums over patched weights, units and classes are
explicit loops of fused multiply-adds, never reductions across threads, whose order would depend on
the block. Sums over inputs are sums of whole numbers. So no block size, grid or neighbor changes a
bit of the result, and launches may choose blocks freely. ``enable_fp_fusion=False`` at the launch
keeps the compiler from fusing further.
"""

# mypy: ignore-errors
# pyright: reportGeneralTypeIssues=false, reportMissingImports=false
# ruff: noqa: ANN001, ANN201, N803, PLR0913, PLR0917, PLR0124, RUF005
# Triton reads this source: it is Python by its syntax only, and untyped.

from __future__ import annotations

import triton
from triton import language as tl

from dnnrepair.kernels.elementwise import activate


@triton.jit
def add_logit(z, top, total):
    """Take a logit into a running maximum and the sum of exponentials below it.

    One exponential per logit (Milakov and Gimelshein 2018, arXiv:1805.02867, need two). A NaN
    becomes the maximum and remains it, so that no label reaches it.
    """
    over = z - top
    e = tl.where(over == over, tl.exp(-tl.abs(over)), 0.0)  # two equal infinities: add nothing
    total = tl.where(over > 0, total * e + 1.0, total + e)
    return tl.where((over > 0) | (z != z), z, top), total


@triton.jit
def store_scores(own, top, total, weights, sums, verdicts, p, n, P, N, EACH, WRITE: tl.constexpr):
    """Add a block's part of the fitness, in units of ``2**-24``, to the sums of its candidates."""
    inside = (p < P)[:, None] & (n < N)[None, :]
    right = own >= top
    loss = (top - own) + tl.log(total)
    wrong = tl.where(loss == loss, 1.0 / (1.0 + loss), 0.0)
    weight = tl.load(weights + (p // EACH).to(tl.int64)[:, None] * N + n[None, :], inside, 0.0)
    scaled = (tl.where(right, 1.0, wrong) * weight).to(tl.float64) * 16777216.0
    whole = (scaled + 6755399441055744.0) - 6755399441055744.0  # to nearest even: 1.5 * 2**52
    units = tl.where(inside, whole, 0.0).to(tl.int64)
    tl.atomic_add(sums + p, tl.sum(units, axis=1), p < P, sem="relaxed")
    if WRITE:
        places = p.to(tl.int64)[:, None] * N + n[None, :]
        tl.store(verdicts + places, right.to(tl.uint8), inside)


@triton.jit
def scatter(z, changes, columns, order, first, last, p, n, P, N, K):
    """Add to ``z`` (BP, BN) the changes of one unit's weights, the ``order[first:last]``."""
    row = columns + first.to(tl.int64) * N
    for j in range(first, last):
        d = tl.load(changes + p * K + tl.load(order + j), p < P, 0.0)
        x = tl.load(row + n, n < N, 0.0)
        z = tl.fma(d[:, None], x[None, :], z)
        row += N
    return z


@triton.jit
def head_program(
    changes,  # (P, K)
    columns,  # (K, N), sorted by class
    order,  # (K,)
    starts,  # (U + 1,)
    class_of,  # (U,), the touched classes
    base,  # (U, N), their logits
    rest_top,  # (N,), over the classes no candidate can change: the maximum,
    rest_total,  # (N,), the sum of exponentials below it,
    rest_own,  # (N,), and the label's logit
    labels,  # (N,)
    weights,  # (S, N)
    sums,  # (P,) int64
    verdicts,  # (P, N)
    P,
    N,
    K,
    U,
    EACH,  # candidates of a search
    BP: tl.constexpr,
    BN: tl.constexpr,
    WRITE: tl.constexpr,
):
    """Score candidates that differ in the last Linear."""
    p = tl.program_id(1) * BP + tl.arange(0, BP)
    n = tl.program_id(0) * BN + tl.arange(0, BN)
    zero = tl.zeros((BP, BN), tl.float32)
    top = zero + tl.load(rest_top + n, n < N, 0.0)[None, :]
    total = zero + tl.load(rest_total + n, n < N, 1.0)[None, :]
    own = zero + tl.load(rest_own + n, n < N, 0.0)[None, :]
    label = tl.load(labels + n, n < N, 0)[None, :]
    row = base
    for u in range(U):
        z = zero + tl.load(row + n, n < N, 0.0)[None, :]
        first = tl.load(starts + u)
        z = scatter(z, changes, columns, order, first, tl.load(starts + u + 1), p, n, P, N, K)
        own = tl.where(label == tl.load(class_of + u), z, own)
        top, total = add_logit(z, top, total)
        row += N
    store_scores(own, top, total, weights, sums, verdicts, p, n, P, N, EACH, WRITE)


@triton.jit
def tail_program(
    changes,  # (P, K)
    columns,  # (K, N), sorted by unit
    order,  # (K,)
    starts,  # (UNITS + 1,)
    before,  # (UNITS, N)
    weight,  # (C, UNITS)
    base,  # (C, N)
    labels,  # (N,)
    weights,  # (S, N)
    sums,  # (P,) int64
    verdicts,  # (P, N)
    P,
    N,
    K,
    C,
    EACH,  # candidates of a search
    slope,
    NAME: tl.constexpr,
    UNITS: tl.constexpr,  # padded by units that nothing touches
    BP: tl.constexpr,
    BN: tl.constexpr,
    WRITE: tl.constexpr,
):
    """Score candidates that differ in the layer before the last Linear."""
    p = tl.program_id(1) * BP + tl.arange(0, BP)
    n = tl.program_id(0) * BN + tl.arange(0, BN)
    zero = tl.zeros((BP, BN), tl.float32)
    moved = ()  # a register per unit and pair
    for u in tl.static_range(UNITS):
        held = zero + tl.load(before + u * N + n, n < N, 0.0)[None, :]
        first = tl.load(starts + u)
        last = tl.load(starts + u + 1)
        h = scatter(held, changes, columns, order, first, last, p, n, P, N, K)
        moved = moved + (activate(h, slope, NAME) - activate(held, slope, NAME),)
    top = zero - float("inf")
    total = zero
    own = zero
    label = tl.load(labels + n, n < N, 0)[None, :]
    row = base
    reads = weight
    for c in range(C):
        z = zero + tl.load(row + n, n < N, 0.0)[None, :]
        for u in tl.static_range(UNITS):
            z = tl.fma(zero + tl.load(reads + u), moved[u], z)
        own = tl.where(label == c, z, own)
        top, total = add_logit(z, top, total)
        row += N
        reads += UNITS
    store_scores(own, top, total, weights, sums, verdicts, p, n, P, N, EACH, WRITE)
