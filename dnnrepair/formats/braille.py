"""Curves in a terminal: every character is a grid of 2 by 4 dots."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column
_WIDE, _HIGH = 2, 4  # dots of a character
ASCII = "*"


class Canvas:
    """Dots over a range of two numbers; what lies outside is not drawn."""

    def __init__(
        self, across: tuple[float, float], up: tuple[float, float], size: tuple[int, int]
    ) -> None:
        """Start empty, ``size`` columns and rows of characters."""
        self._across, self._up = across, up
        self._columns, self._rows = size
        self._cells = [[0] * self._columns for _ in range(self._rows)]

    def line(self, points: Sequence[tuple[float, float]]) -> None:
        """Join points, which are in order, by straight lines."""
        for (x, y), (to_x, to_y) in pairwise(points):
            begin, end = self._place(x, y), self._place(to_x, to_y)
            steps = max(1, int(max(abs(end[0] - begin[0]), abs(end[1] - begin[1]))) + 1)
            for step in range(steps + 1):
                share = step / steps
                self._dot(
                    begin[0] + share * (end[0] - begin[0]), begin[1] + share * (end[1] - begin[1])
                )

    def axes(self) -> None:
        """Draw where either number is 0, dotted."""
        wide, high = self._columns * _WIDE, self._rows * _HIGH
        column, row = self._place(0.0, 0.0)
        for place in range(0, wide, 4):
            self._dot(place, row)
        for place in range(0, high, 2):
            self._dot(column, place)

    def rows(self, *, ascii_only: bool = False) -> list[str]:
        """Return the lines of text, the top one first."""
        if ascii_only:
            return ["".join(ASCII if cell else " " for cell in row) for row in self._cells]
        return ["".join(chr(_BLANK + cell) if cell else " " for cell in row) for row in self._cells]

    def _place(self, x: float, y: float) -> tuple[float, float]:
        """Return column and row of a point, in dots."""
        (left, right), (low, high) = self._across, self._up
        column = (x - left) / (right - left) * (self._columns * _WIDE - 1)
        return column, (high - y) / (high - low) * (self._rows * _HIGH - 1)

    def _dot(self, column: float, row: float) -> None:
        x, y = round(column), round(row)
        if 0 <= x < self._columns * _WIDE and 0 <= y < self._rows * _HIGH:
            self._cells[y // _HIGH][x // _WIDE] |= _DOTS[y % _HIGH][x % _WIDE]
