"""Trainings done ahead by other processes, as many as the memory has room for.

They fill the folder of the :class:`~dnnrepair.repairing.teaching.Teacher`; the loop itself goes on
in order, and finds there what it would have had to train. So what comes of it cannot depend on how
many there are, except that a process trains on one thread.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dnnrepair.forking import forked, forks_train
from dnnrepair.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from multiprocessing.context import ForkProcess

    from dnnrepair.data import ArraySamples
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject

_COPIES = 8  # weights, gradients, two moments, the best epoch, what is written; twice some
_KEPT = 4  # times what a batch leaves behind in the network: for the way back, and while measuring
_BATCH = 256  # of measuring, the largest
_BASE = 200 * 2**20  # bytes of a process beside that
_HALF = 0.5  # of what is free is used


@dataclass(kw_only=True)
class Ahead:
    """Processes that train ahead.

    Attributes:
        jobs: how many at a time; below 2 there are none.
    """

    jobs: int = 1
    _running: dict[Hashable, ForkProcess] = field(default_factory=dict)

    def begin(self, key: Hashable, work: Callable[[Progress], None]) -> None:
        """Let a process do some work, unless one does it already or all are busy.

        Args:
            key: of the work.
            work: is given a progress to report to; what it raises is not told to anyone.
        """
        if self.jobs < 2 or key in self._running or len(self._running) >= self.jobs:  # noqa: PLR2004
            return
        self._running[key] = forked(_work, work, os.getpid())

    def wait(self, key: Hashable) -> None:
        """Wait until some work is done, if it was begun."""
        process = self._running.pop(key, None)
        if process is not None:
            process.join()

    def stop(self) -> None:
        """End all work that is still being done."""
        for process in self._running.values():
            process.kill()
            process.join()
        self._running.clear()


def _work(work: Callable[[Progress], None], parent: int) -> None:
    """Work in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the loop is asked, and ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # the others were not copied
    with suppress(Exception):  # the loop will meet it, too, and tell
        work(_Orphan(parent))


class _Orphan(Silent):
    """Ends this process once the one that began it is gone."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def advance(self, n: int) -> None:
        """Look whether anyone still waits."""
        del n
        if os.getppid() != self._parent:
            raise SystemExit


def jobs_for(
    subject: Subject, samples: ArraySamples, wanted: int, free: int | None
) -> tuple[int, str]:
    """Return how many trainings are done at a time, and why not more, "" if as many as wanted.

    Args:
        subject: the network.
        samples: that it is trained on.
        wanted: at most.
        free: bytes of memory that are not used; None if nobody knows.
    """
    if wanted < 2:  # noqa: PLR2004 - one at a time
        return 1, ""
    if subject.device.type != "cpu" or not hasattr(os, "fork"):
        where = f"on {subject.device.type}" if hasattr(os, "fork") else "on this system"
        return 1, f"treatments were tried one at a time: copies cannot be trained apart {where}"
    if not forks_train():
        return 1, (
            "treatments were tried one at a time: in this process, with a GPU or after an export "
            "by others, torch cannot train in forked ones"
        )
    if free is None:
        return wanted, ""
    need = _needed(subject, samples)
    found = max(1, min(wanted, int(_HALF * free / need)))
    if found == wanted:
        return wanted, ""
    return found, (
        f"{found} of {wanted} copies were trained at a time: one takes about {need / 2**20:,.0f} "
        f"MiB, and {free / 2**20:,.0f} MiB were free"
    )


def free_memory() -> int | None:
    """Return how many bytes of memory may still be used, None if the system does not say."""
    found = [_system(), _group()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def _needed(subject: Subject, samples: ArraySamples) -> int:
    """Return about how many bytes the training of a copy takes."""
    weights = sum(value.numel() * value.element_size() for value in subject.tensors.values())
    values = sum(prod(site.shape[1:]) for site in subject.running.sites if site.shape)
    data = sum(x.numel() * x.element_size() for x in samples.inputs) / max(1, samples.size)
    return int(_BASE + _COPIES * weights + _BATCH * (4 * _KEPT * values + 2 * data))


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(s.split()[1]) for s in lines if s.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return None


def _group() -> int | None:
    """Return what a control group leaves, where one limits this process."""
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = ((folder / f"memory.{name}").read_text() for name in ("max", "current"))
        return max(0, int(most) - int(used))
    except (OSError, ValueError):
        return None
