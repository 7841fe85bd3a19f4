"""How much one program of a kernel takes on.

Chosen from sizes alone, never by timing: a search that depends on the clock cannot be repeated.
The scoring kernels give the same bits with any block; the convolution always takes :data:`CONV`.

Registers of a thread as Triton 3.8 compiles for sm_90 (none spill), and the warps, 64 at most, that
a multiprocessor then holds: head 32 (64 warps) with up to 2 candidates, else 56 (36); tail with
relu and 4 units and 1 candidate 32 (64), 8 and 4, or 16 and 2, 72 (28), 32 and 1 96 (20), 64 and 1
159 (12); the convolution 181 to 225, which leaves one program of 8 warps.
Worth trying on another card: 64 or 256 inputs, 2 or 8 warps.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_UNITS = 64  # a register per unit and pair; beyond it they spill
MIN_PROGRAMS = 1024  # about eight for each of the 132 multiprocessors of an H100 or H200


@dataclass(frozen=True, slots=True)
class Shape:
    """What one program of a scoring kernel takes on.

    Attributes:
        candidates: a power of two.
        inputs: a power of two.
        warps: of 32 threads each.
    """

    candidates: int
    inputs: int
    warps: int = 4

    @classmethod
    def of(cls, candidates: int, inputs: int, units: int) -> Shape:
        """Choose as many candidates per thread as registers allow and the device stays busy."""
        block = 128
        across = -(-inputs // block)
        most = max(1, min(8, 32 // units))
        while most > 1 and across * -(-candidates // most) < MIN_PROGRAMS:
            most //= 2
        return cls(most, block)


@dataclass(frozen=True, slots=True)
class ConvShape:
    """What one program of the convolution kernel takes on, each a power of two.

    Attributes:
        candidates: of a tile; with ``inputs`` its rows.
        inputs: of a tile.
        space: positions that are multiplied at a time, at least 16.
        columns: output units at most.
        warps: of 32 threads each.
    """

    candidates: int = 8
    inputs: int = 16
    space: int = 32
    columns: int = 128
    warps: int = 8


CONV = ConvShape()
