"""Fair timing: one core, CPU seconds, and all that is compared in turns."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LEAST_SECONDS = 0.05  # of CPU in one turn; less cannot be told from noise


@dataclass(slots=True)
class Entrant:
    """Something to time.

    Attributes:
        name: of it.
        work: does some work and returns how much, in any unit.
        least: turns that it takes at least; None for as many as the effort has it.
        rates: units per CPU second, of each turn so far.
        seconds: of CPU, spent so far.
    """

    name: str
    work: Callable[[], float]
    least: int | None = None
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def turn(self) -> None:
        """Work for a while and note the rate."""
        amount, begin = 0.0, process_time()
        spent = 0.0
        while spent < _LEAST_SECONDS:
            amount += self.work()
            spent = process_time() - begin
        self.rates.append(amount / spent)
        self.seconds += spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to time.

    Attributes:
        turns: at most so many for each entrant.
        least: at least so many, however long they take.
        seconds: of CPU; an entrant that has spent them takes no further turn beyond the least.
        call: seconds of CPU that one call may take where the work can be made smaller.
        all_rivals: time also ``vmap``, and the loops with the inputs in blocks.
    """

    turns: int = 9
    least: int = 3
    seconds: float = 2.0
    call: float = 3.0
    all_rivals: bool = True


def race(entrants: Sequence[Entrant], effort: Effort) -> dict[str, float]:
    """Let all work in turns; return the median units per CPU second of each, by name."""
    for turn in range(effort.turns):
        for entrant in entrants:
            least = effort.least if entrant.least is None else entrant.least
            if turn < least or entrant.seconds < effort.seconds:
                entrant.turn()
    return {entrant.name: median(entrant.rates) for entrant in entrants}


def affordable(work: Callable[[int], object], wanted: int, seconds: float) -> int:
    """Return how much to do at a time so that it takes about so many seconds of CPU.

    Tries larger and larger amounts: what is done only once, or once per call, weighs less then.

    Args:
        work: does so much of it.
        wanted: what would be done if time were no matter; the result is at most that.
        seconds: of CPU.
    """
    amount = 1
    while True:
        begin = process_time()
        work(amount)
        spent = max(process_time() - begin, 1e-9)
        if amount == wanted or spent > seconds / 2:
            return max(1, min(wanted, int(amount * seconds / spent)))
        amount = min(wanted, amount * 8)


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this process to one core, where the system can, and torch to one thread."""
    pins = hasattr(os, "sched_setaffinity")
    cores = os.sched_getaffinity(0) if pins else set[int]()
    try:
        if pins:
            os.sched_setaffinity(0, {max(cores)})
        with one_thread():
            yield
    finally:
        if pins:
            os.sched_setaffinity(0, cores)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(threads)
