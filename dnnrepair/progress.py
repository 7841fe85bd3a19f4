"""How far the work has come, for whoever wants to watch."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told about the work; what it makes of that is its own affair."""

    def stage(self, name: str, total: int | None) -> None:
        """Begin a stage of ``total`` steps; None if nobody knows how many."""
        ...

    def advance(self, n: int) -> None:
        """Note that ``n`` more steps are done."""
        ...

    def note(self, text: str) -> None:
        """Note how the stage is going, in a few words."""
        ...

    def finish(self) -> None:
        """Note that all stages are done."""
        ...


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, n: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


silent = Silent()
