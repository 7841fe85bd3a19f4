"""The convolution's device code. Importing this module imports Triton."""

# mypy: ignore-errors
# pyright: reportGeneralTypeIssues=false, reportMissingImports=false
# ruff: noqa: ANN001, ANN201, N803, PLR0913, PLR0917
# Triton reads this source: it is Python by its syntax only, and untyped.

from __future__ import annotations

import triton
from triton import language as tl

from dnnrepair.kernels.elementwise import activate


@triton.jit
def conv_program(
    changes,  # (P, K)
    planes,  # (N, K, S)
    order,  # (K,)
    starts,  # (U + 1,)
    before,  # (N, U, S)
    weight,  # (U, S, H)
    base,  # (N, H)
    out,  # (P, N, H)
    P,
    N,
    K,
    U,
    S,
    H,
    slope,
    NAME: tl.constexpr,
    BP: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    BH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Multiply the change of the activations, built in registers, with the next Linear.

    A row of the left operand is a (candidate, input) pair, candidate-major; what the candidates of
    a tile share is read once.
    """
    p = tl.program_id(1) * BP + tl.arange(0, BP)
    n = tl.program_id(0) * BN + tl.arange(0, BN)
    h = tl.program_id(2) * BH + tl.arange(0, BH)
    input_row = n.to(tl.int64)[:, None]
    pair = tl.arange(0, BP * BN)
    candidate = tl.program_id(1) * BP + pair // BN
    sample = tl.program_id(0) * BN + pair % BN
    known = (sample < N)[:, None] & (h < H)[None, :]
    total = tl.load(base + sample.to(tl.int64)[:, None] * H + h[None, :], known, 0.0)
    for u in range(U):
        first = tl.load(starts + u)
        last = tl.load(starts + u + 1)
        for at in range(0, S, BK):
            s = at + tl.arange(0, BK)
            inside = (n < N)[:, None] & (s < S)[None, :]
            held = tl.load(before + (input_row * U + u) * S + s[None, :], inside, 0.0)
            x = tl.zeros((BP, BN, BK), tl.float32) + held[None, :, :]
            for j in range(first, last):
                k = tl.load(order + j)
                d = tl.load(changes + p * K + k, p < P, 0.0)
                plane = tl.load(planes + (input_row * K + k) * S + s[None, :], inside, 0.0)
                x = tl.fma(d[:, None, None], plane[None, :, :], x)
            delta = activate(x, slope, NAME) - activate(held, slope, NAME)[None, :, :]
            left = tl.reshape(delta, (BP * BN, BK))
            rows = (u * S + s)[:, None] * H + h[None, :]
            right = tl.load(weight + rows, (s < S)[:, None] & (h < H)[None, :], 0.0)
            if PRECISION == "bf16":
                total = tl.dot(left.to(tl.bfloat16), right.to(tl.bfloat16), total)
            else:
                total = tl.dot(left, right, total, input_precision=PRECISION)
    rows = out + (candidate.to(tl.int64) * N + sample) * H
    tl.store(rows[:, None] + h[None, :], total, known & (candidate < P)[:, None])
