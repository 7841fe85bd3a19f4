"""What watching a training run costs: the same steps with and without a monitor, in turns."""

from __future__ import annotations

from statistics import median
from time import process_time
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.bench.result import BenchOptions, BenchResult, Figure, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

EVERY = 100
BATCH = 128
BOUND = 0.03  # of the time of the steps
NETWORKS = ("cnn", "transformer")
LOOKS = 8  # of which one is deep
SIDE = 5  # steps near a look, and as many of those between, that are timed


def run(options: BenchOptions) -> BenchResult:
    """Measure the share of time that watching takes, on one core."""
    from dnnrepair.bench.timing import one_core

    rounds = 1 if options.quick else 3
    options.progress.stage("training with and without a monitor", len(NETWORKS) * rounds)
    rows, figures = [], []
    with one_core():
        for name in NETWORKS:
            measured = []
            for _ in range(rounds):
                measured += stretches(name, options.seed)
                options.progress.advance(1)
            shares = [share for share, _, _ in measured]
            value = sum(shares) / len(shares)
            low, high = interval(shares, options.seed)
            seconds = median(step for _, step, _ in measured)
            once = max(first for _, _, first in measured)
            rows.append(
                (
                    name,
                    f"{1e3 * seconds:.0f}",
                    f"{100 * value:.2f} %",
                    f"[{100 * low:.2f}, {100 * high:.2f}]",
                    f"{once:.2f}",
                )
            )
            figures.append(Figure(f"overhead, {name}", f"at most {BOUND}", value, value <= BOUND))
    options.progress.finish()
    table = Table(
        f"a monitor at every={EVERY}, batches of {BATCH}, against the same steps without it",
        ("network", "step, CPU ms", "overhead", "95 % interval", "first look, CPU s more"),
        tuple(rows),
    )
    return BenchResult("monitor", (table,), tuple(figures))


def stretches(name: str, seed: int) -> list[tuple[float, float, float]]:
    """Return overhead, seconds of a plain step, and of the first look, for each later stretch.

    A stretch ends in a look. What happens in it is timed in full: the steps near the look, where
    batches and gradients are noted, in turn with the same steps of a twin without a monitor. The
    steps between, where only losses and labels are kept, are represented by some of them.
    """
    import torch

    from dnnrepair.bench.observe import network_and_data
    from dnnrepair.monitor.monitor import Monitor

    watched, stream = network_and_data(name, 4 * BATCH)
    plain, _ = network_and_data(name, 1)
    (data,) = list(stream.batches(4 * BATCH))
    assert data.targets is not None  # made with labels  # noqa: S101
    batches = list(zip(data.inputs[0].split(BATCH), data.targets.split(BATCH), strict=True))
    near: list[tuple[float, float]] = []
    quiet: list[float] = []
    first = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        optimizers = [
            torch.optim.SGD(net.train().parameters(), lr=1e-3) for net in (watched, plain)
        ]
        with Monitor(watched, optimizers[0], every=EVERY, loss="cross_entropy") as monitor:
            step = _step(watched, optimizers[0], monitor.loss)
            twin = _step(plain, optimizers[1], lambda loss, _: loss)
            for look in range(LOOKS + 1):
                monitor._watch.step = EVERY * (look + 1) - 2 * SIDE  # noqa: SLF001 - skip ahead
                pairs = [_pair(step, twin, batches[i % 4], first=i % 2) for i in range(2 * SIDE)]
                extra = sum(ours - theirs for ours, theirs in pairs[SIDE:])
                if look:
                    near.append((extra, median(theirs for _, theirs in pairs)))
                    quiet += [ours - theirs for ours, theirs in pairs[:SIDE]]
                else:
                    first = extra
    rest = (EVERY - SIDE) * median(quiet)
    return [((extra + rest) / (EVERY * usual), usual, first) for extra, usual in near]


def _step(
    network: nn.Module,
    optimizer: object,
    noted: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[tuple[Tensor, Tensor]], float]:
    from torch.nn import functional
    from torch.optim import Optimizer

    assert isinstance(optimizer, Optimizer)  # noqa: S101

    def step(batch: tuple[Tensor, Tensor]) -> float:
        began = process_time()
        optimizer.zero_grad()
        noted(functional.cross_entropy(network(batch[0]), batch[1]), batch[1]).backward()
        optimizer.step()
        return process_time() - began

    return step


def _pair(
    step: Callable[[tuple[Tensor, Tensor]], float],
    twin: Callable[[tuple[Tensor, Tensor]], float],
    batch: tuple[Tensor, Tensor],
    *,
    first: int,
) -> tuple[float, float]:
    """Return the seconds of both, which go first in turn."""
    if first:
        theirs = twin(batch)
        return step(batch), theirs
    return step(batch), twin(batch)


def interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """Return a 95 % interval of the mean, by 2,000 bootstrap samples."""
    rng = np.random.default_rng(seed)
    means = rng.choice(np.array(values), (2000, len(values))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
