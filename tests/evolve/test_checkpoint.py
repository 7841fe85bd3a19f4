"""A search on disk: exact, whole, and of no other search."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from dnnrepair.evolve.box import Box
from dnnrepair.evolve.checkpoint import Checkpoint, CheckpointError
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade
from dnnrepair.evolve.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from dnnrepair.evolve.state import State
    from dnnrepair.evolve.strategy import Strategy

    Kind = Callable[..., Strategy]
    Fitness = Callable[[Tensor], Tensor]


def assert_same(one: State, other: State) -> None:
    theirs = other.tensors()
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "search.safetensors", "problem")


def test_a_search_goes_on_exactly(
    kind: Kind, sphere: Fitness, cube: Callable[..., Box], kept: Checkpoint
) -> None:
    strategy, box, seeds = kind(candidates=8), cube(3, torch.float32), [1, -5, 2**64 - 1]
    whole = search(strategy, sphere, box, seeds, stopping=Stopping(generations=30))
    for part in (0, 7, 21, 30, 30):
        found = search(
            strategy, sphere, box, seeds, stopping=Stopping(generations=part), checkpoint=kept
        )
        assert found.generations == (part,) * 3
    assert_same(found.state, whole.state)
    assert torch.equal(found.best, whole.best)


PROGRAM = """
import os, sys, time
from pathlib import Path
import torch
from dnnrepair.evolve.box import Box
from dnnrepair.evolve.checkpoint import Checkpoint
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.shade import Shade
from dnnrepair.evolve.stopping import Stopping

torch.set_num_threads(1)
side = torch.ones(4)

def fitness(values):
    time.sleep(0.001)
    return -values.abs().amax(dim=-1)

def note(state):
    print(int(state.generation), flush=True)

kept = Checkpoint(Path(sys.argv[1]), "problem")
for line in sys.stdin:  # torch is imported once, and each child killed while it searches
    child = os.fork()
    if not child:
        search(Shade(candidates=12), fitness, Box(-side, side), [1, 2],
               stopping=Stopping(generations=300), checkpoint=kept, every=1, on_generation=note)
        os._exit(0)
    print(f"child {child}", flush=True)
    print(f"ended {os.waitpid(child, 0)[1]}", flush=True)
"""


def killed(process: subprocess.Popen[str], wait: float) -> int:
    """Let a child search for some generations and seconds, kill it and return how it ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("search\n")
    process.stdin.flush()
    lines: list[str] = []
    while len(lines) < 9:  # the child's number may come after its first generations
        lines.append(process.stdout.readline())
    time.sleep(wait)
    os.kill(int(next(line for line in lines if "child" in line).split()[1]), signal.SIGKILL)
    ended = next(line for line in process.stdout if "ended" in line)
    return int(ended.split()[1])


def test_a_killed_search_goes_on_exactly(kept: Checkpoint) -> None:
    def fitness(values: Tensor) -> Tensor:
        return -values.abs().amax(dim=-1)

    side, reached = torch.ones(4), []
    box, strategy = Box(-side, side), Shade(candidates=12)
    fresh = strategy.init([1, 2], box)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(kept.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        for _ in range(5):  # each goes on from where the last one was killed
            assert killed(process, random.uniform(0, 0.03)) == signal.SIGKILL
            reached.append(int(kept.read(strategy, fresh).generation))
    assert reached[0] > 0
    assert reached == sorted(set(reached))
    assert reached[-1] < 301
    budget = Stopping(generations=300)
    resumed = search(strategy, fitness, box, [1, 2], stopping=budget, checkpoint=kept, every=1000)
    whole = search(strategy, fitness, box, [1, 2], stopping=budget)
    assert_same(resumed.state, whole.state)


@pytest.fixture
def written(kept: Checkpoint, cube: Callable[..., Box]) -> tuple[Checkpoint, State]:
    strategy = Rand1Bin(candidates=5)
    state = strategy.init([1, 2], cube(2))
    kept.write(strategy, state)
    return kept, state


def test_a_checkpoint_of_another_search_is_refused(
    written: tuple[Checkpoint, State], cube: Callable[..., Box]
) -> None:
    kept, state = written
    usual = Rand1Bin(candidates=5)
    assert_same(kept.read(usual, state), state)

    def refused(strategy: Strategy, fresh: State, name: str, kept: Checkpoint = kept) -> None:
        with pytest.raises(CheckpointError, match=f"another search: its {name} is .*delete it"):
            kept.read(strategy, fresh)

    refused(usual, state, "problem", replace(kept, problem="other"))
    refused(Rand1Bin(candidates=5, crossover=0.5), state, "settings")
    refused(usual, usual.init([1, 3], cube(2)), "seeds")
    refused(usual, usual.init([1, 2], cube(3)), "shape")
    refused(usual, usual.init([1, 2], cube(2, torch.float32)), "type")
    refused(usual, usual.init([1, 2], cube(2, side=1.0)), "box")
    shade = Shade(candidates=5)
    refused(shade, shade.init([1, 2], cube(2)), "strategy")


def test_damaged_and_foreign_files_are_refused(written: tuple[Checkpoint, State]) -> None:
    kept, state = written
    whole = kept.path.read_bytes()
    for size in (0, 4, len(whole) // 2, len(whole) - 1):
        kept.path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"cannot be read .*delete it"):
            kept.read(Rand1Bin(candidates=5), state)
    save_file({"population": torch.zeros(2)}, kept.path)
    with pytest.raises(CheckpointError, match="no checkpoint of such a search"):
        kept.read(Rand1Bin(candidates=5), state)
    kept.path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        kept.read(Rand1Bin(candidates=5), state)
