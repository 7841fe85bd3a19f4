"""What a diagnosis costs beside the forwards and backwards it needs, and how memory grows."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Any

from dnnrepair.bench.result import BenchOptions, BenchResult, Figure, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from dnnrepair.probe import Batch
    from dnnrepair.program import Program, Watch
    from dnnrepair.subject import Subject

SAMPLES = 10_000
MANY = 100_000
BATCH = 128
TIME_BOUND = 2.0  # diagnose over plain loop
MEMORY_BOUND = 1.05  # peak at MANY samples over peak at SAMPLES
NETWORKS = ("cnn", "transformer")


@dataclass
class Ledger:
    """What a program was asked to run.

    Attributes:
        runs: how many samples went through, with or without gradients, in training mode or not.
    """

    runs: list[tuple[int, bool, bool]]


class Counted:
    """A program that keeps a ledger of its runs."""

    def __init__(self, program: Program, ledger: Ledger) -> None:
        """Wrap ``program``."""
        self._program = program
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the program's
        """Return the program's attribute."""
        return getattr(self._program, name)

    def run(
        self,
        inputs: Sequence[Tensor],
        *,
        tensors: Mapping[str, Tensor] | None = None,
        watch: Watch | None = None,
        training: bool = False,
    ) -> Tensor:
        """Run and note it down."""
        result = self._program.run(inputs, tensors=tensors, watch=watch, training=training)
        self._ledger.runs.append((len(inputs[0]), result.requires_grad, training))
        return result


def network_and_data(name: str, samples: int) -> tuple[nn.Module, Any]:
    """Return the reference network at the size of real use, and a stream of samples for it.

    The CNN sees 28 x 28 images, the transformer 64 tokens; samples are made when asked for, so that
    the data take no memory.
    """
    import torch

    from dnnrepair.bench.networks import BenchCNN, BenchTransformer
    from dnnrepair.data import LoaderSamples

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = BenchCNN() if name == "cnn" else BenchTransformer()
    return module.eval(), LoaderSamples(Made(name, samples))


class Made:
    """A map-style data set that makes sample ``i`` from ``i``."""

    def __init__(self, name: str, samples: int) -> None:
        """Make inputs for the network ``name``."""
        self.name = name
        self.samples = samples

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.samples

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return input and label number ``index``."""
        import torch

        if index >= self.samples:
            raise IndexError(index)
        rng = torch.Generator().manual_seed(index)
        if self.name == "cnn":
            return torch.rand(1, 28, 28, generator=rng), index % 10
        return torch.randint(0, 17, (64,), generator=rng), index % 10


def run(options: BenchOptions) -> BenchResult:
    """Measure time ratios and peak memory."""
    samples, repeats = (2_000, 1) if options.quick else (SAMPLES, 3)
    rows, figures = [], []
    for name in NETWORKS:
        ratio, spent, plain = time_ratio(name, samples, repeats)
        rows.append((name, f"{samples:,}", f"{spent:.1f}", f"{plain:.1f}", f"{ratio:.2f}"))
        figures.append(_bounded(f"time ratio, {name}", ratio, TIME_BOUND))
    timing = Table(
        "diagnose against a plain loop of the same forwards and backwards",
        ("network", "samples", "diagnose, CPU s", "plain loop, CPU s", "ratio"),
        tuple(rows),
    )
    sizes = (1_000, 5_000) if options.quick else (SAMPLES, MANY)
    memory_rows = []
    for name in NETWORKS:
        small, large = (peak_memory(name, size) for size in sizes)
        growth = large / small
        memory_rows.append(
            (name, *(f"{peak / 2**20:.0f} MiB" for peak in (small, large)), f"{growth:.3f}")
        )
        figures.append(
            Figure(
                f"peak memory, {name}",
                f"at most {MEMORY_BOUND} times",
                growth,
                growth <= MEMORY_BOUND,
            )
        )
    memory = Table(
        "peak memory of the process",
        ("network", *(f"{size:,} samples" for size in sizes), "ratio"),
        tuple(memory_rows),
    )
    return BenchResult("observe", (timing, memory), tuple(figures))


def _bounded(name: str, value: float, bound: float) -> Figure:
    return Figure(name, f"at most {bound}", value, value <= bound)


def time_ratio(name: str, samples: int, repeats: int) -> tuple[float, float, float]:
    """Return the median ratio, and CPU seconds of diagnosis and plain loop, in one process."""
    import torch

    torch.set_num_threads(1)
    measured = [_pair(name, samples) for _ in range(repeats)]
    ratios = [spent / plain for spent, plain in measured]
    return median(ratios), median(s for s, _ in measured), median(p for _, p in measured)


def _pair(name: str, samples: int) -> tuple[float, float]:
    from dataclasses import replace

    from dnnrepair.data import ArraySamples
    from dnnrepair.diagnose import diagnose
    from dnnrepair.selection import choose_rules
    from dnnrepair.subject import subject_of

    module, stream = network_and_data(name, samples)
    (batch,) = list(stream.batches(samples))
    data = ArraySamples(batch.inputs, batch.targets, "made")
    subject = subject_of(module, data, loss="cross_entropy")
    assert subject.program is not None  # it has just been exported  # noqa: S101
    ledger = Ledger([])
    counted: Any = Counted(subject.program, ledger)
    rules = choose_rules((), (), {})
    watched: Subject = replace(subject, program=counted)
    spent = _timed(lambda: diagnose(watched, rules, batch_size=BATCH))
    return spent, _timed(lambda: _plain_loop(module, batch, ledger))


def _plain_loop(module: nn.Module, batch: Batch, ledger: Ledger) -> None:
    """Do the forwards and backwards of the ledger as a user would write them."""
    import torch
    from torch.nn import functional

    assert batch.targets is not None  # made with labels  # noqa: S101
    parameters = list(module.parameters())
    start = 0
    for size, graded, training in ledger.runs:
        if start + size > len(batch):
            start = 0
        inputs = [x[start : start + size] for x in batch.inputs]
        module.train(training)
        with torch.set_grad_enabled(graded):
            prediction = module(*inputs)
        if graded:
            loss = functional.cross_entropy(prediction, batch.targets[start : start + size])
            torch.autograd.grad(loss, parameters, allow_unused=True)
        start += size
    module.eval()


def _timed(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def peak_memory(name: str, samples: int) -> float:
    """Return the peak resident bytes of a fresh process that diagnoses so many streamed samples."""
    command = [sys.executable, "-m", "dnnrepair.bench.observe", name, str(samples)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return float(done.stdout.strip().splitlines()[-1])


def _diagnose_stream(name: str, samples: int) -> int:
    """Diagnose a stream and return this process's peak resident bytes."""
    import torch

    from dnnrepair.api import diagnose_module

    torch.set_num_threads(1)
    module, stream = network_and_data(name, samples)
    diagnose_module(module, stream, loss="cross_entropy")
    return _peak()


def _peak() -> int:
    """Return this process's peak resident bytes.

    On Linux ``getrusage`` still counts what the parent held when it forked; VmHWM does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.stdout.write(f"{_diagnose_stream(sys.argv[1], int(sys.argv[2]))}\n")
