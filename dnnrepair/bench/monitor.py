"""What watching a training run costs: the same steps with and without a monitor, in turns."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.bench.monitor_runs import quality
from dnnrepair.bench.result import BenchOptions, BenchResult, Figure, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    Part = tuple[Tensor, Tensor]
    Step = Callable[[Part], float]

EVERY = 100
BATCH = 128
BOUND = 0.03  # of the time of the steps
NETWORKS = ("cnn", "transformer")
LOOKS = 8  # of which the last is deep
FEW = 15  # steps between looks that stand for all of them in a quick run
NEAR = 5  # steps up to a look, in which batches and gradients are noted
SMALL = 8  # samples of the steps between looks; what is noted there does not depend on it


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the steps from one look to the next cost.

    Attributes:
        usual: CPU seconds of a step on a full batch without a monitor.
        between: CPU seconds that watching takes in the steps far from the look, all together.
        near: the same in those near it, the look included.
        look: CPU seconds of the look's own step beyond a usual one.
        deep: it was a deep look.
    """

    usual: float
    between: float
    near: float
    look: float
    deep: bool

    @property
    def share(self) -> float:
        """Overhead, as a share of the steps' time."""
        return (self.between + self.near) / (EVERY * self.usual)


def run(options: BenchOptions) -> BenchResult:
    """Measure what watching costs, and whether what is said of a run is right."""
    from dnnrepair.bench.timing import one_thread

    cost, figures = overhead(options)
    if options.quick:
        skipped = ("what is said of runs that go well or wrong: --quick",)
        return BenchResult("monitor", (cost,), figures, skipped)
    with one_thread():
        said, more = quality(options)
    options.progress.finish()
    return BenchResult("monitor", (cost, said), (*figures, *more))


def overhead(options: BenchOptions) -> tuple[Table, tuple[Figure, ...]]:
    """Return the share of time that watching takes on one core, and the figures required of it."""
    from dnnrepair.bench.observe import network_and_data
    from dnnrepair.bench.timing import one_core

    rounds = 1 if options.quick else 3
    options.progress.stage("training with and without a monitor", len(NETWORKS) * rounds)
    rows, figures = [], []
    with one_core():
        for name in NETWORKS:
            firsts, later = [], []
            for _ in range(rounds):
                watched, stream = network_and_data(name, 4 * BATCH)
                plain, _ = network_and_data(name, 1)
                (data,) = list(stream.batches(4 * BATCH))
                assert data.targets is not None  # made with labels  # noqa: S101
                steps = FEW if options.quick else EVERY - NEAR
                pair = (data.inputs[0], data.targets)
                first, *others = stretches(watched, plain, pair, between=steps)
                firsts.append(first)
                later += others
                options.progress.advance(1)
            rows.append(_row(name, firsts, later, options.seed))
            value = _mean([one.share for one in later])
            figures.append(Figure(f"overhead, {name}", f"at most {BOUND}", value, value <= BOUND))
    title = (
        f"a monitor at every={EVERY}, batches of {BATCH}, against the same steps without it; "
        f"every {LOOKS}th look is deep, the first exports the network"
    )
    columns = (
        *("network", "step, CPU ms", "overhead", "95 % interval", "noting, a step"),
        *("a look, steps", "a deep look, steps", "the first look, steps"),
    )
    return Table(title, columns, tuple(rows)), tuple(figures)


def stretches(
    watched: nn.Module,
    plain: nn.Module,
    data: Part,
    *,
    looks: int = LOOKS,
    between: int = EVERY - NEAR,
) -> list[Stretch]:
    """Return what each of ``looks`` + 1 stretches cost; the first exports the network.

    Each step is taken in turn by the watched network and by its twin without a monitor. The steps
    near a look have full batches. Those between have small ones: what a monitor does there is the
    same at each, whatever their size, and their median difference stands out from the noise.

    Args:
        watched: a network.
        plain: the same one again.
        data: inputs and labels of some full batches.
        looks: how many are wanted beyond the first.
        between: how many steps far from a look are taken; they stand for all of them.
    """
    import torch

    from dnnrepair.monitor.monitor import Monitor

    full = list(zip(data[0].split(BATCH), data[1].split(BATCH), strict=True))
    small = [(x[:SMALL], y[:SMALL]) for x, y in full]
    optimizers = [torch.optim.SGD(net.train().parameters(), lr=1e-3) for net in (watched, plain)]
    found = []
    with (
        torch.random.fork_rng(devices=[]),
        Monitor(watched, optimizers[0], every=EVERY, loss="cross_entropy") as monitor,
    ):
        step = _step(watched, optimizers[0], monitor.loss)
        twin = _step(plain, optimizers[1], lambda loss, _: loss)
        for look in range(looks + 1):
            torch.manual_seed(look)
            monitor._watch.step = EVERY * (look + 1) - NEAR - between  # noqa: SLF001 - skip ahead
            noted = [ours - theirs for ours, theirs in _pairs(step, twin, small, between)]
            near = _pairs(step, twin, full, NEAR)
            usual = median(theirs for _, theirs in near)
            found.append(
                Stretch(
                    usual=usual,
                    between=(EVERY - NEAR) * median(noted),
                    near=sum(ours - theirs for ours, theirs in near),
                    look=near[-1][0] - usual,
                    deep=look % LOOKS == 0,
                )
            )
    return found


def _step(
    network: nn.Module,
    optimizer: object,
    noted: Callable[[Tensor, Tensor], Tensor],
) -> Step:
    from torch.nn import functional
    from torch.optim import Optimizer

    assert isinstance(optimizer, Optimizer)  # noqa: S101

    def step(batch: Part) -> float:
        began = process_time()
        optimizer.zero_grad()
        noted(functional.cross_entropy(network(batch[0]), batch[1]), batch[1]).backward()
        optimizer.step()
        return process_time() - began

    return step


def _pairs(
    step: Step, twin: Step, batches: Sequence[Part], count: int
) -> list[tuple[float, float]]:
    """Return the seconds of both on the same batches; they go first in turn."""
    found = []
    for place in range(count):
        batch = batches[place % len(batches)]
        if place % 2:
            theirs = twin(batch)
            found.append((step(batch), theirs))
        else:
            found.append((step(batch), twin(batch)))
    return found


def _row(
    name: str, firsts: Sequence[Stretch], later: Sequence[Stretch], seed: int
) -> tuple[str, ...]:
    shares = [one.share for one in later]
    low, high = interval(shares, seed)
    usual = median(one.usual for one in later)
    noting = median(one.between for one in later) / (EVERY - NEAR)
    looks = ([x for x in later if not x.deep], [x for x in later if x.deep], firsts)
    return (
        name,
        f"{1e3 * usual:.0f}",
        f"{100 * _mean(shares):.2f} %",
        f"[{100 * low:.2f}, {100 * high:.2f}]",
        f"{1e6 * noting:.0f} µs",
        *(f"{median(x.look / x.usual for x in some):.1f}" if some else "-" for some in looks),
    )


def interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """Return a 95 % interval of the mean, by 2,000 bootstrap samples."""
    rng = np.random.default_rng(seed)
    means = rng.choice(np.array(values), (2000, len(values))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
