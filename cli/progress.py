"""A progress bar on stderr, for people who wait at a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager, redirect_stdout
from time import monotonic
from typing import TYPE_CHECKING

from dnnrepair.errors import DnnRepairError
from dnnrepair.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

PATIENCE = 0.5  # seconds before a bar appears; what is quicker needs none


class Bar:
    """Draws the current stage, and erases it in the end."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Display

        self._display = Display(
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._began = monotonic()
        self._task: TaskID | None = None

    def stage(self, name: str, total: int | None) -> None:
        """Begin a stage of ``total`` steps."""
        if self._task is not None:
            self._display.remove_task(self._task)
        self._task = self._display.add_task(name, total=total, note="")
        self._appear()

    def advance(self, n: int) -> None:
        """Note that ``n`` more steps are done."""
        if self._task is not None:
            self._display.advance(self._task, n)
        self._appear()

    def note(self, text: str) -> None:
        """Show how the stage is going."""
        if self._task is not None:
            self._display.update(self._task, note=text)

    def finish(self) -> None:
        """Erase the bar."""
        self._display.stop()

    def _appear(self) -> None:
        if not self._display.live.is_started and monotonic() - self._began > PATIENCE:
            self._display.start()


@contextmanager
def working() -> Iterator[Progress]:
    """Show progress while user's code runs, which must neither print a report nor end the run.

    Raises:
        DnnRepairError: if that code exits.
    """
    progress: Progress = Bar() if sys.stderr.isatty() else silent
    with redirect_stdout(sys.stderr):
        try:
            yield progress
        except SystemExit as error:
            message = f"the code of the network or the data ended the program (exit {error.code})"
            raise DnnRepairError(message) from error
        finally:
            progress.finish()  # while stdout is still redirected: the bar restores what it found
