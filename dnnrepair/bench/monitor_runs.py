"""Training runs that go well or wrong, and what a monitor says of each while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dnnrepair.bench.journal import Journal
from dnnrepair.bench.result import Figure, Table
from dnnrepair.finding import Severity
from dnnrepair.models.recipe import OBJECTIVES, networks, seeded
from dnnrepair.monitor.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from dnnrepair.bench.result import BenchOptions
    from dnnrepair.models.recipe import Recipe
    from dnnrepair.models.views import Split

    Data = tuple[Tensor, Tensor]

EVERY = 20  # steps from look to look: the runs are short
FOUND = 0.95  # of the faulty runs, at least
SEEDS, QUICK_SEEDS = (0, 1), (0,)
SPOILED = ("mlp-relu", "mlp-tanh", "cnn", "cnn-bn", "transformer")


def _as_it_is(data: Data, _rng: torch.Generator) -> Data:
    return data


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a run departs from the recipe of its network.

    Attributes:
        name: in the table.
        codes: of the findings any of which tells what is wrong; none for a healthy run. Accepted is
            a finding whose own text (``dnnrepair explain``) names this fault among the causes.
        rate: factor of the learning rate, which then stays as it is.
        optimizer: instead of the recipe's, "" for that one.
        steps: at least; more epochs are trained if need be.
        change: makes other training data of the right ones.
        shuffled: labels are dealt out anew at every step.
        objective: instead of the recipe's, None for that one.
        networks: that it spoils; batch norm, say, makes a network indifferent to large steps.
    """

    name: str
    codes: tuple[str, ...] = ()
    rate: float = 1.0
    optimizer: str = ""
    steps: int = 0
    change: Callable[[Data, torch.Generator], Data] = field(default=_as_it_is)
    shuffled: bool = False
    objective: Callable[[Tensor, Tensor], Tensor] | None = None
    networks: tuple[str, ...] = SPOILED


def _few_and_wrong(count: int, share: float, data: Data, rng: torch.Generator) -> Data:
    """Keep ``count`` samples, and deal out a share of their labels at random."""
    some = torch.randperm(len(data[0]), generator=rng)[:count]
    x, y = data[0][some], data[1][some].clone()
    wrong = torch.rand(count, generator=rng) < share
    y[wrong] = torch.randint(0, int(y.max()) + 1, (int(wrong.sum()),), generator=rng)
    return x, y


def _unbalanced(data: Data, rng: torch.Generator) -> Data:
    """Keep one in thirty of the samples of the last three classes."""
    kept = (data[1] < int(data[1].max()) - 2) | (torch.rand(len(data[1]), generator=rng) < 1 / 30)
    return data[0][kept], data[1][kept]


def _by_hand(scores: Tensor, labels: Tensor) -> Tensor:
    """Return cross entropies of each class as they stand in the book; 0 * log 0 is no number."""
    p, y = scores.softmax(1), F.one_hot(labels, scores.shape[1])
    return -(y * p.log() + (1 - y) * (1 - p).log()).sum(1).mean()


HEALTHY = Course(name="healthy")
CONSTANT = Course(name="healthy, the learning rate does not fall", rate=1 / 3)
COURSES = (
    Course(
        name="SGD at a rate of 1",
        codes=("TRN001", "TRN002", "TRN004", "TRN005"),
        optimizer="sgd-1",
        networks=tuple(name for name in SPOILED if name != "cnn-bn"),
    ),
    Course(
        name="learning rate 100 times too high",
        codes=("TRN001", "TRN002", "TRN004", "TRN005"),
        rate=100.0,
        networks=tuple(name for name in SPOILED if name != "cnn-bn"),
    ),
    Course(
        name="learning rate 10,000 times too low",
        codes=("TRN002", "TRN003", "TRN006"),
        rate=1e-4,
        steps=400,
    ),
    Course(name="labels at random", codes=("TRN002",), shuffled=True, steps=400),
    Course(
        name="300 samples, labels of 40 % at random",
        codes=("TRN007",),
        change=partial(_few_and_wrong, 300, 0.4),
        steps=800,
    ),
    Course(name="three rare classes", codes=("TRN008",), change=_unbalanced),
    Course(  # at the recipe's rate a probability rounds to 1 only after some 1,000 steps
        name="log of 0 in the loss", codes=("TRN001",), rate=10.0, objective=_by_hand, steps=600
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a monitor said of a run.

    Attributes:
        course, network, seed: which.
        steps: of the run.
        codes: of the warnings and errors about the run at any look, sorted.
    """

    course: str
    network: str
    seed: int
    steps: int
    codes: tuple[str, ...]


def watched(course: Course, network: str, seed: int) -> Watched:
    """Train a reference network on a course under a monitor; validate once an epoch."""
    recipe = networks[network]
    split = recipe.data()
    with seeded(seed):
        rng = torch.Generator().manual_seed(seed)
        x, y = course.change((split.train_inputs, split.train_targets), rng)
        module = recipe.make().train()
        optimizer = _optimizer(course, recipe, module)
        per_epoch = -(-len(x) // recipe.batch_size)
        epochs = max(recipe.epochs, -(-course.steps // per_epoch))
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, per_epoch * epochs)
        objective = course.objective or recipe.objective or OBJECTIVES[recipe.loss]
        monitor = Monitor(module, optimizer, every=EVERY, select=["TRN"], loss=recipe.loss or None)
        said: set[str] = set()
        with monitor:
            for _ in range(epochs):
                for batch in torch.randperm(len(x), generator=rng).split(recipe.batch_size):
                    labels = y[torch.randperm(len(y), generator=rng)] if course.shuffled else y
                    optimizer.zero_grad()
                    loss = objective(module(x[batch]), labels[batch])
                    known = labels[batch] if recipe.task != "generate" else None
                    monitor.loss(loss, known).backward()
                    optimizer.step()
                    if course is HEALTHY:
                        falling.step()
                    said |= _warned(monitor)
                if recipe.task != "generate":
                    monitor.validation(*_validated(module, recipe, split))
    return Watched(
        course=course.name,
        network=network,
        seed=seed,
        steps=monitor.step,
        codes=tuple(sorted(said)),
    )


def _optimizer(course: Course, recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    if course.optimizer == "sgd-1":
        return torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9)
    rate = course.rate * recipe.learning_rate
    return torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=recipe.weight_decay)


def _warned(monitor: Monitor) -> set[str]:
    return {
        one.finding.code
        for one in monitor.findings
        if one.finding.severity is not Severity.NOTE and one.last == monitor.step
    }


@torch.no_grad()
def _validated(module: nn.Module, recipe: Recipe, split: Split) -> tuple[float, float | None]:
    module.eval()
    answers = module(split.test_inputs)
    module.train()
    if recipe.task != "classify":
        return float(F.mse_loss(answers, split.test_targets)), None
    right = (answers.argmax(1) == split.test_targets).double().mean()
    return float(F.cross_entropy(answers, split.test_targets)), float(right)


def quality(options: BenchOptions) -> tuple[Table, tuple[Figure, ...]]:
    """Return what is said of each course, and the figures required of it."""
    seeds = QUICK_SEEDS if options.quick else SEEDS
    healthy = SPOILED if options.quick else tuple(networks)
    spoiled = SPOILED[:2] if options.quick else SPOILED
    plan = [
        (course, name, seed + options.seed)
        for course in (HEALTHY, CONSTANT, *COURSES)
        for name in (course.networks if course.codes else healthy)
        for seed in seeds
        if not course.codes or name in spoiled
    ]
    options.progress.stage("watching runs that go well or wrong", len(plan))
    journal = Journal(options.cache, Watched)
    results = []
    for course, name, seed in plan:
        options.progress.note(f"{name}: {course.name}")
        key = (course.name, name, seed)
        results.append(journal.get(key, partial(watched, course, name, seed)))
        options.progress.advance(1)
    return judged(results)


def judged(results: Sequence[Watched]) -> tuple[Table, tuple[Figure, ...]]:
    """Return the table of some runs and its figures: nothing missed, no alarm about the healthy."""
    rows, found, faulty, alarms = [], 0, 0, 0
    for course in (HEALTHY, CONSTANT, *COURSES):
        own = [one for one in results if one.course == course.name]
        hits = [one for one in own if set(one.codes) & set(course.codes)]
        if course.codes:
            found, faulty = found + len(hits), faulty + len(own)
        else:
            alarms += sum(bool(one.codes) for one in own)
        counts = {code: sum(code in one.codes for one in own) for one in own for code in one.codes}
        said = ", ".join(f"{code} {count}" for code, count in sorted(counts.items()))
        wanted = " or ".join(course.codes) or "nothing"
        right = len(hits) if course.codes else sum(not one.codes for one in own)
        names = dict.fromkeys(one.network for one in own)
        rows.append(
            (course.name, str(len(names)), wanted, f"{right}/{len(own)}", said or "nothing")
        )
    table = Table(
        f"what a monitor warns of, at every={EVERY}: runs of reference networks by their recipes",
        ("run", "networks", "to be said", "said", "all that was said, in runs"),
        tuple(rows),
    )
    share = found / faulty if faulty else None
    return table, (
        Figure("healthy runs with a warning", "at most 0", float(alarms), alarms == 0),
        Figure(
            "faulty runs that are found",
            f"at least {FOUND}",
            share,
            None if share is None else share >= FOUND,
        ),
    )
