"""Colors and shapes that tell series apart, also for those who see no colors."""

from __future__ import annotations

from dnnrepair.formats.drawing import PAINTS

SERIES = tuple(name for name in PAINTS if name.startswith("series"))
SHAPES = ("o", "s", "^", "D", "v", "P", "X")  # as many as are prime to the colors
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1)))
