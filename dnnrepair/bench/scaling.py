"""How much faster several processes evaluate a population, and whether they find the same.

Run by ``torchrun``, this module is one of the processes; the first prints what it measured, a JSON
object on a line for each workload.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from dnnrepair.bench.contest import prepared
from dnnrepair.bench.recipes import RECIPES
from dnnrepair.bench.result import Figure, Table
from dnnrepair.bench.workloads import prepare
from dnnrepair.errors import DnnRepairError
from dnnrepair.sharding import Shards, sharded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dnnrepair.population import Evaluator

    Cases = Mapping[str, tuple[int, int]]  # N and P by workload

WORLDS = (1, 2)
CASES: Cases = {  # N and P; each process has several blocks of inputs, and is done in a few seconds
    "hidden": (16_384, 100),
    "conv, 9 channels": (2048, 16),
}
_SECONDS = 1.0  # of wall clock, for all timed calls of a workload
_LEAST, _MOST = 3, 200  # timed calls
_PATIENCE = 600  # seconds until a run is given up
IDENTICAL = "share of fitness values that any number of processes agree on, bit by bit"


@dataclass(frozen=True, slots=True)
class Measured:
    """What some processes together measured.

    Attributes:
        workload: its name.
        rate: candidates per second of wall clock.
        fitness: of the candidates.
    """

    workload: str
    rate: float
    fitness: tuple[float, ...]


def scaling(seed: int) -> tuple[Table, Figure, tuple[str, ...]]:
    """Return rates by number of processes, whether fitness agrees, and what could not be run."""
    try:
        runs = {world: launch(world, seed) for world in WORLDS}
    except DnnRepairError as error:
        return table({}), identical({}), (f"scaling over processes: {error}",)
    return table(runs), identical(runs), ()


def table(runs: dict[int, list[Measured]]) -> Table:
    """Return rates and efficiency from what each number of processes measured."""
    rows = []
    for cases in zip(*runs.values(), strict=True):
        alone = cases[0]
        for world, case in zip(runs, cases, strict=True):
            rate = f"{case.rate:,.0f}"
            share = f"{case.rate / (world * alone.rate):.0%}"
            samples, candidates = map(str, CASES[case.workload])
            rows.append((case.workload, samples, candidates, str(world), rate, share))
    return Table(
        f"candidates per second of wall clock by number of processes, on {_cores()} cores",
        ("workload", "N", "P", "processes", "rate", "efficiency"),
        tuple(rows),
    )


def identical(runs: dict[int, list[Measured]]) -> Figure:
    """Return the share of fitness values that are the same in all runs; has to be 1."""
    same = [
        all(value == values[0] for value in values)
        for cases in zip(*runs.values(), strict=True)
        for values in zip(*(case.fitness for case in cases), strict=True)
    ]
    share = sum(same) / len(same) if same else None
    return Figure(IDENTICAL, "1", share, None if share is None else share == 1)


def launch(world: int, seed: int, cases: Cases = CASES) -> list[Measured]:
    """Have so many processes measure.

    Args:
        world: number of processes.
        seed: of whatever is random.
        cases: names of workloads, each with N and P.

    Raises:
        DnnRepairError: if one fails, or nothing has come of it after some minutes.
    """
    launcher = ("torch.distributed.run", "--standalone", f"--nproc-per-node={world}", "-m")
    command = [sys.executable, "-m", *launcher, "dnnrepair.bench.scaling"]
    command += [str(seed), json.dumps(cases)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(  # noqa: S603 - this module itself
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or "").strip().splitlines()[-1:]
        message = f"{world} processes did not finish ({said[0] if said else error})"
        raise DnnRepairError(message) from error
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [Measured(one["workload"], one["rate"], tuple(one["fitness"])) for one in found]


def timed(evaluator: Evaluator, values: Tensor, shards: Shards) -> tuple[float, Tensor]:
    """Return candidates per second of wall clock, and their fitness.

    All processes make the same number of calls, each of which waits for all.
    """
    evaluator(values)  # to warm up
    begin = perf_counter()
    fitness = evaluator(values)
    mean = float(shards.sum(torch.tensor(perf_counter() - begin, dtype=torch.float64)))
    calls = int(_SECONDS * shards.world / max(mean, 1e-9))
    times = []
    for _ in range(max(_LEAST, min(_MOST, calls))):
        begin = perf_counter()
        evaluator(values)
        times.append(perf_counter() - begin)
    return len(values) / median(times), fitness


def work(arguments: Sequence[str]) -> None:
    """Be one of the processes; the arguments are those of :func:`launch`."""
    seed, cases = int(arguments[0]), json.loads(arguments[1])
    torch.set_num_threads(1)
    with sharded() as shards:
        for recipe in RECIPES:
            if recipe.name not in cases:
                continue
            samples, candidates = cases[recipe.name]
            workload = prepare(recipe, samples, seed)
            values = workload.candidates(candidates, seed + 1)
            rate, fitness = timed(prepared(workload), values, shards)
            if shards.rank == 0:
                said = {"workload": recipe.name, "rate": rate, "fitness": fitness.tolist()}
                sys.stdout.write(json.dumps(said) + "\n")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    work(sys.argv[1:])
