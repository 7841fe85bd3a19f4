"""Every activation in the same networks: accuracy, time of a step, dead and saturated units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from statistics import mean, stdev
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations import activations, find
from dnnrepair.activations.moments import sloped
from dnnrepair.activations.shape import FLAT, shape_of
from dnnrepair.bench.activation_data import digits_split, fashion_split
from dnnrepair.bench.activation_networks import (
    BATCH,
    CONVERTED,
    NETWORKS,
    convert,
    optimizer_of,
    pre_activations,
    step,
    train,
)
from dnnrepair.bench.activation_plot import plot
from dnnrepair.bench.journal import Journal
from dnnrepair.bench.result import BenchOptions, BenchResult, Table
from dnnrepair.bench.timing import Effort, Entrant, one_core, one_thread, race
from dnnrepair.errors import DataError
from dnnrepair.models.recipe import seeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dnnrepair.activations import Activation
    from dnnrepair.bench.activation_data import Split
    from dnnrepair.bench.activation_networks import Trial

SEEDS, QUICK_SEEDS = 3, 1
EPOCHS, QUICK_EPOCHS = 20, 8  # on the digits
DEAD = 1e-12  # a slope below it is none
TESTED = 250  # images at a time: their values stay in a core's cache
SEEN = 1000  # test images by which units are judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One network, trained.

    Attributes:
        activation, network, seed: which.
        accuracy: on the test part, NaN if training was not finite.
        dead: share of units whose slope is 0 on every test image.
        saturated: share of pre-activations where the slope is below 5 % of the largest.
    """

    activation: str
    network: str
    seed: int
    accuracy: float
    dead: float
    saturated: float


def run(options: BenchOptions) -> BenchResult:
    """Train and judge."""
    seeds = QUICK_SEEDS if options.quick else SEEDS
    splits = [digits_split(QUICK_EPOCHS if options.quick else EPOCHS)]
    skipped = []
    if options.quick or options.data_dir is None:
        skipped.append("Fashion-MNIST: name its folder by --data-dir, without --quick")
    else:
        try:
            splits.append(fashion_split(options.data_dir))
        except DataError as error:
            skipped.append(f"Fashion-MNIST: {error}")
    tables, plots = [], []
    with one_core():
        costs = steps(splits[0], quick=options.quick)
    with one_thread():
        for split in splits:
            runs = trained(split, seeds, options)
            tables.append(table(split, runs, costs, seeds))
            plots.append(plot(split.name, [(r.activation, r.network, r.accuracy) for r in runs]))
            skipped += [
                f"{r.activation} in the {r.network}, seed {r.seed}: its loss was not finite"
                for r in runs
                if math.isnan(r.accuracy)
            ]
    options.progress.finish()
    return BenchResult("activations", tuple(tables), (), tuple(skipped), plots=tuple(plots))


def trained(split: Split, seeds: int, options: BenchOptions) -> list[Run]:
    """Return a run for each activation, network and seed."""
    options.progress.stage(f"training on {split.name}", len(list(activations)) * 2 * seeds)
    journal = Journal(options.cache, Run)
    found = []
    for name in activations:
        for network in NETWORKS:
            for seed in range(options.seed, options.seed + seeds):
                options.progress.note(f"{name} in the {network}")
                key = (split.name, len(split.train_x), split.epochs, name, network, seed)
                made = partial(trial, find(name), network, split, seed)
                found.append(journal.get(key, made))
                options.progress.advance(1)
    return found


def trial(activation: Activation, network: str, split: Split, seed: int) -> Run:
    """Train one network and judge it; the same seed gives every activation the same batches."""
    name = activation.name
    rng = torch.Generator().manual_seed(seed)
    with seeded(seed):  # RReLU draws from torch's own generator
        made = NETWORKS[network](find("relu") if name in CONVERTED else activation, split.side, rng)
        finite = train(made, split, torch.Generator().manual_seed(seed))
        if finite and name in CONVERTED:
            convert(made, name, split)
    if not finite:
        nan = math.nan
        return Run(activation=name, network=network, seed=seed, accuracy=nan, dead=nan,
                   saturated=nan)  # fmt: skip
    with torch.no_grad():
        answers = torch.cat([made(part).argmax(1) for part in split.test_x.split(TESTED)])
        right = answers == split.test_y
    dead, saturated = health(made, split.test_x[:SEEN], steepest(activation))
    return Run(activation=name, network=network, seed=seed, accuracy=float(right.double().mean()),
               dead=dead, saturated=saturated)  # fmt: skip


def health(network: Trial, x: Tensor, largest: float) -> tuple[float, float]:
    """Return the share of dead units and of saturated pre-activations, over all sites.

    A unit of several inputs is dead or saturated where the slopes to all of them are.
    """
    dead, units, flat, count = 0, 0, 0, 0
    for site, z in zip(network.sites, pre_activations(network, x), strict=True):
        value, slope = sloped(site, z)
        blocks = z.shape[1] // value.shape[1]
        size = slope.abs().unflatten(1, (blocks, -1)).amax(1)  # (N, C, ...)
        by_unit = size.transpose(0, 1).flatten(1)
        dead += int((by_unit.amax(1) < DEAD).sum())
        flat += int((by_unit < FLAT * largest).sum())
        units, count = units + len(by_unit), count + by_unit.numel()
    return dead / units, flat / count


def steepest(activation: Activation) -> float:
    """Return the largest slope, 1 where it has no bound or the activation several inputs."""
    if activation.inputs != 1:
        return 1.0
    low, high = shape_of(activation).slopes
    largest = max(abs(low), abs(high))
    return largest if math.isfinite(largest) else 1.0


def steps(split: Split, *, quick: bool) -> dict[tuple[str, str], float]:
    """Return CPU seconds of a training step on 64 images, by activation and network."""
    entrants = [
        Entrant(f"{name}/{network}", _stepping(name, network, split))
        for name in activations
        for network in NETWORKS
    ]
    rates = race(entrants, Effort(turns=3 if quick else 7, least=3, seconds=0.2 if quick else 0.5))
    found = {}
    for key, rate in rates.items():
        name, _, network = key.partition("/")
        found[name, network] = 1 / rate
    return found


def _stepping(name: str, network: str, split: Split) -> _Stepping:
    rng = torch.Generator().manual_seed(0)
    made = NETWORKS[network](find(name), split.side, rng).train()
    return _Stepping(made, optimizer_of(made), split.train_x[:BATCH], split.train_y[:BATCH])


@dataclass(frozen=True, slots=True)
class _Stepping:
    """Takes ten steps of training when called."""

    network: Trial
    optimizer: torch.optim.Optimizer
    x: Tensor
    y: Tensor

    def __call__(self) -> float:
        for _ in range(10):
            step(self.network, self.optimizer, self.x, self.y)
        return 10.0


def table(
    split: Split, runs: Sequence[Run], costs: dict[tuple[str, str], float], seeds: int
) -> Table:
    """Return a row for each activation, the most accurate first."""
    rows = []
    for name in activations:
        mine = [run for run in runs if run.activation == name]
        by_network = {n: [r.accuracy for r in mine if r.network == n] for n in NETWORKS}
        healthy = [run for run in mine if not math.isnan(run.accuracy)]
        rows.append(
            (
                mean(run.accuracy for run in mine),
                (
                    f"{name} (converted)" if name in CONVERTED else name,
                    *(_accuracy(by_network[network]) for network in NETWORKS),
                    *(f"{costs[name, n] / costs['relu', n]:.2f}" for n in NETWORKS),
                    _share([run.dead for run in healthy]),
                    _share([run.saturated for run in healthy]),
                ),
            )
        )
    rows.sort(key=lambda row: math.inf if math.isnan(row[0]) else -row[0])
    plain = ", ".join(f"{network} {1000 * costs['relu', network]:.2f} ms" for network in NETWORKS)
    title = (
        f"{split.name}: {len(split.train_x):,} images to train on, {split.epochs} epochs, "
        f"{len(split.test_x):,} to test on, seeds: {seeds}; a step of ReLU takes {plain}"
    )
    heads = ("activation", "accuracy, mlp", "accuracy, cnn", "step, mlp", "step, cnn", "dead",
             "saturated")  # fmt: skip
    return Table(title, heads, tuple(cells for _, cells in rows))


def _accuracy(values: Sequence[float]) -> str:
    if any(map(math.isnan, values)):
        return "-"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f} %{spread}"


def _share(values: Sequence[float]) -> str:
    return f"{100 * mean(values):.1f} %" if values else "-"
