"""How long each stage of a run takes."""

from __future__ import annotations

from time import perf_counter

from dnnrepair.patch_report import Stage


class Clock:
    """A stopwatch that keeps a list of laps.

    Attributes:
        stages: those that are over.
    """

    def __init__(self) -> None:
        """Start the first stage."""
        self.stages: list[Stage] = []
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """End a stage, under this name, and start the next."""
        now = perf_counter()
        self.stages.append(Stage(name=name, seconds=round(now - self._last, 3)))
        self._last = now
