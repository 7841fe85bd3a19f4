"""The process in the environment of the other tools, and the talk with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_PACKAGE = Path(__file__).parents[1]


class PeerProcess:
    """Runs :mod:`dnnrepair.bench.peer_runner` under another interpreter.

    It is started again if a tool brings it down.

    Attributes:
        tools: version, or the reason why there is none, by tool.
    """

    def __init__(self, python: Path) -> None:
        """Prepare to run ``python``."""
        self.tools: dict[str, dict[str, str]] = {}
        self._python = python
        self._folder = TemporaryDirectory()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start the process.

        Raises:
            SettingError: if the interpreter cannot be run or lacks torch.
        """
        home = Path(self._folder.name)
        (home / _PACKAGE.name).symlink_to(_PACKAGE)  # our package, none of its neighbours
        try:
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._close()

    def judge(self, case: Mapping[str, Any]) -> dict[str, Any]:
        """Return what each tool said of a case, by tool.

        Args:
            case: ``module``, ``inputs``, ``targets`` and ``loss``.
        """
        import torch

        file = Path(self._folder.name) / "case.pt"
        torch.save(dict(case), file)
        said = self._ask(f"{file}\n")
        if said:
            return said
        self._stop()
        self._start()
        present = (tool for tool, state in self.tools.items() if "version" in state)
        return {tool: {"error": "the process died"} for tool in present}

    def _start(self) -> None:
        paths = [self._folder.name, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user named the interpreter
                [str(self._python), str(Path(__file__).with_name("peer_runner.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError as error:
            message = f"{self._python} cannot be run ({error.strerror}); give --peers-python"
            raise SettingError(message) from error
        self.tools = self._ask("")
        if not self.tools:
            message = f"{self._python} cannot run the tools: it needs torch and numpy"
            raise SettingError(message)

    def _close(self) -> None:
        self._stop()
        self._folder.cleanup()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.communicate()

    def _ask(self, question: str) -> dict[str, Any]:
        process = self._process
        assert process is not None  # _start() came first  # noqa: S101
        assert process.stdin is not None  # a pipe  # noqa: S101
        assert process.stdout is not None  # a pipe  # noqa: S101
        process.stdin.write(question)
        process.stdin.flush()
        line = process.stdout.readline()
        return dict(json.loads(line)) if line else {}
