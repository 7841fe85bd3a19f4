"""A network learns, as torch's own loop would teach it, and nothing else changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.bits import digest, identical
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError, SettingError, UnknownNameError
from dnnrepair.recover import (
    Distillation,
    EarlyStopping,
    Epoch,
    Lesson,
    Recipe,
    RecoveryError,
    recover,
)
from dnnrepair.recover.lesson import cuts

NEVER = EarlyStopping(patience=None)


def accuracy(module: nn.Module, samples: ArraySamples) -> float:
    assert samples.targets is not None
    with torch.no_grad():
        return float((module.eval()(*samples.inputs).argmax(1) == samples.targets).double().mean())


def judged(module: nn.Module, samples: ArraySamples) -> float:
    assert samples.targets is not None
    with torch.no_grad():
        return float(F.cross_entropy(module(*samples.inputs), samples.targets))


def test_it_learns_and_the_network_stays(
    network: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    before = digest(dict(network.state_dict()))
    network.train()
    state = torch.get_rng_state()
    found = recover(network, lesson, Recipe(epochs=15, learning_rate=1e-2), generator=rng)
    assert digest(dict(network.state_dict())) == before
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not found.module.training
    assert found.kept.valid_accuracy > 0.85 > found.history[0].valid_accuracy
    assert found.kept.valid_accuracy == pytest.approx(accuracy(found.module, lesson.valid))
    assert found.kept.valid_loss == min(epoch.valid_loss for epoch in found.history)


@pytest.mark.parametrize("clip", [None, 0.3])
def test_it_is_the_loop_that_a_user_would_write(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator, clip: float | None
) -> None:
    recipe = Recipe(
        epochs=4,
        batch_size=50,
        optimizer="SGD",
        learning_rate=0.2,
        optimizer_settings={"momentum": 0.9},
        schedule="",
        clip_norm=clip,
        stopping=NEVER,
    )
    twin = torch.Generator().manual_seed(7)
    torch.randint(2**62, (), generator=twin)  # the seed of what the network draws
    found = recover(plain, lesson, recipe, generator=rng)

    own = copy.deepcopy(plain)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.2, momentum=0.9)
    (x,), y = lesson.train.inputs, lesson.train.targets
    assert y is not None
    states: list[dict[str, Tensor]] = [copy.deepcopy(own.state_dict())]
    losses = [judged(own, lesson.valid)]
    for _ in range(4):
        for part in torch.randperm(240, generator=twin).split(50):
            optimizer.zero_grad()
            F.cross_entropy(own(x[part]), y[part]).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(own.parameters(), clip)
            optimizer.step()
        states.append(copy.deepcopy(own.state_dict()))
        losses.append(judged(own, lesson.valid))
    best = min(range(5), key=losses.__getitem__)
    assert found.best == best
    assert [epoch.valid_loss for epoch in found.history] == pytest.approx(losses, rel=1e-5)
    for name, value in found.module.state_dict().items():
        torch.testing.assert_close(value, states[best][name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("optimizer", "schedule", "settings"),
    [
        ("adam", "StepLR", {"step_size": 2}),
        ("RMSprop", "ExponentialLR", {"gamma": 0.9}),
        ("SGD", "OneCycleLR", {}),
        ("LBFGS", "", {}),
        ("NAdam", "ReduceLROnPlateau", {"patience": 1}),
        (
            lambda p: torch.optim.Adagrad(p, lr=0.1),
            torch.optim.lr_scheduler.LinearLR,
            {},
        ),
    ],
)
def test_optimizers_and_schedules_are_those_of_torch(
    optimizer: object,
    schedule: object,
    settings: dict[str, float],
    plain: nn.Module,
    lesson: Lesson,
    rng: torch.Generator,
) -> None:
    recipe = Recipe(
        epochs=6,
        optimizer=optimizer,  # type: ignore[arg-type]
        schedule=schedule,  # type: ignore[arg-type]
        schedule_settings=settings,
        learning_rate=3e-2,
    )
    found = recover(plain, lesson, recipe, generator=rng)
    assert found.kept.valid_loss < 0.8 * found.history[0].valid_loss
    rates = [epoch.rate for epoch in found.history[1:]]
    if schedule == "StepLR":
        assert rates == pytest.approx([0.03, 0.03, 0.003, 0.003, 0.0003, 0.0003][: len(rates)])
    if schedule == "OneCycleLR":
        assert rates[-1] < rates[1]


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.MultiMarginLoss()])
def test_any_loss_of_torch_will_do(
    loss: Any, plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    found = recover(plain, replace(lesson, loss=loss), Recipe(epochs=5), generator=rng)
    assert found.kept.valid_loss < found.history[0].valid_loss


def test_values_are_learned_too(lesson: Lesson, rng: torch.Generator) -> None:
    def valued(samples: ArraySamples) -> ArraySamples:
        return ArraySamples(samples.inputs, samples.inputs[0][:, :1] * 2, "values")

    values = Lesson(train=valued(lesson.train), valid=valued(lesson.valid), loss="mse")
    found = recover(
        nn.Linear(6, 1), values, Recipe(epochs=20, learning_rate=0.1, stopping=NEVER), generator=rng
    )
    assert found.kept.valid_loss < 0.01
    assert found.kept.valid_accuracy != found.kept.valid_accuracy  # there are no classes


def test_clipping_by_value_bounds_each_step(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    recipe = Recipe(
        epochs=1,
        batch_size=240,
        optimizer="SGD",
        learning_rate=1.0,
        clip_value=1e-3,
        schedule="",
    )
    found = recover(plain, lesson, recipe, generator=rng)
    changes = [
        float((after - before).detach().abs().max())
        for before, after in zip(plain.parameters(), found.module.parameters(), strict=True)
    ]
    assert max(changes) == pytest.approx(1e-3, rel=1e-3)


def test_clipping_by_norm_is_counted(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    recipe = Recipe(epochs=1, clip_norm=1e-4)
    last = recover(plain, lesson, recipe, generator=rng).history[1]
    assert last.clipped == 1
    assert last.gradient > 1e-4


class Watching(nn.Module):
    """Notes its mode and the type it computes in."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen: list[tuple[bool, torch.dtype]] = []

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        self.seen.append((self.training, y.dtype))
        return y


def seen_by(module: nn.Module) -> list[tuple[bool, torch.dtype]]:
    assert isinstance(module, Watching)
    return module.seen


def test_modes_and_statistics(network: nn.Module, lesson: Lesson, rng: torch.Generator) -> None:
    watching = Watching(network)
    found = recover(watching, lesson, Recipe(epochs=2, batch_size=60), generator=rng)
    seen = seen_by(found.module)
    assert [mode for mode, _ in seen] == [False, *[*[True] * 4, False] * 2]
    assert int(found.module.get_buffer("inner.1.num_batches_tracked")) == 4 * found.best
    frozen = recover(network, lesson, Recipe(epochs=2, freeze_statistics=True), generator=rng)
    for name in ("1.running_mean", "1.running_var"):
        assert identical(frozen.module.get_buffer(name), network.get_buffer(name))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_computes_in_few_bits_and_keeps_weights(
    precision: str, plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    recipe = Recipe(epochs=6, precision=precision, learning_rate=2e-2)
    found = recover(Watching(plain), lesson, recipe, generator=rng)
    types = {kind for training, kind in seen_by(found.module) if training}
    assert types == {getattr(torch, precision)}
    assert {p.dtype for p in found.module.parameters()} == {torch.float32}
    assert found.kept.valid_loss < 0.7 * found.history[0].valid_loss


def test_a_single_sample_left_over_joins_the_batch_before(
    network: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    recover(network, lesson, Recipe(epochs=1, batch_size=239), generator=rng)  # 240 = 239 + 1
    for count in range(1, 40):
        for size in range(2, 9):
            sizes = [one.stop - one.start for one in cuts(count, size)]
            assert sum(sizes) == count
            assert count == 1 or min(sizes) > 1
            assert max(sizes) <= size + 1


def test_if_the_loss_is_no_longer_finite_the_best_epoch_comes_back(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    rates = iter([0.05, 0.05, 1e38])

    def fast(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: next(rates, 1e38))

    recipe = Recipe(optimizer="SGD", learning_rate=1.0, schedule=fast)
    found = recover(plain, lesson, recipe, generator=rng)
    assert found.best == 2
    assert found.reason in (
        "the loss became NaN in epoch 3; went back to epoch 2, the best one",
        "the loss became infinite in epoch 3; went back to epoch 2, the best one",
    )
    assert found.notes == (found.reason,)
    assert all(bool(p.isfinite().all()) for p in found.module.parameters())
    assert accuracy(found.module, lesson.valid) == pytest.approx(found.history[2].valid_accuracy)


def test_if_it_never_was_finite_the_network_is_as_it_came(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    with torch.no_grad():
        plain.get_parameter("0.weight")[0, 0] = torch.nan
    found = recover(plain, lesson, generator=rng)
    assert found.best == 0
    assert found.reason == "the loss became NaN in epoch 1; went back to the network as it came"


def test_a_teacher_is_imitated_without_labels(lesson: Lesson, rng: torch.Generator) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        teacher, student = nn.Linear(6, 3), nn.Linear(6, 3)
    bare = Lesson(
        train=ArraySamples(lesson.train.inputs, None, "inputs"),
        valid=ArraySamples(lesson.valid.inputs, None, "more inputs"),
    )
    recipe = Recipe(epochs=30, learning_rate=5e-2, distillation=Distillation(weight=1))
    found = recover(student, bare, recipe, generator=rng, teacher=teacher)
    x = lesson.valid.inputs[0]
    with torch.no_grad():
        taught, learned = teacher(x).softmax(1), found.module(x).softmax(1)
        expected = 4 * F.kl_div(
            (student(x) / 2).log_softmax(1), (teacher(x) / 2).softmax(1), reduction="batchmean"
        )
    assert float((taught - learned).abs().max()) < 0.02
    assert found.history[0].valid_loss == pytest.approx(float(expected), rel=1e-4)


def test_the_original_is_the_teacher_by_default(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    recipe = Recipe(epochs=2, distillation=Distillation(weight=1))
    found = recover(plain, lesson, recipe, generator=rng)
    assert found.history[0].valid_loss == pytest.approx(0, abs=1e-6)  # it answers like itself


def test_each_epoch_is_told(plain: nn.Module, lesson: Lesson, rng: torch.Generator) -> None:
    told: list[Epoch] = []
    recipe = Recipe(epochs=3, stopping=NEVER)
    found = recover(plain, lesson, recipe, generator=rng, observer=told.append)
    assert tuple(told) == found.history[1:]
    assert found.reason == "all 3 epochs are done"


BAD = [
    ({"optimizer": "Adamm"}, UnknownNameError, "no optimizer called 'Adamm'; did you mean 'Adam"),
    ({"schedule": "StepLr9"}, UnknownNameError, "did you mean 'StepLR'"),
    ({"optimizer_settings": {"betaz": 1}}, SettingError, "change the optimizer's settings"),
    ({"schedule": "StepLR"}, SettingError, "change the schedule's settings"),
    ({"epochs": 0}, SettingError, "give 1 and 2 at least"),
    ({"clip_norm": -1.0}, SettingError, "clip_norm is -1.0; give a finite number above 0"),
    ({"precision": "float8"}, SettingError, "known: float32, bfloat16, float16"),
]


@pytest.mark.parametrize(("settings", "kind", "words"), BAD)
def test_bad_recipes_are_refused(
    settings: dict[str, object],
    kind: type[Exception],
    words: str,
    plain: nn.Module,
    lesson: Lesson,
    rng: torch.Generator,
) -> None:
    with pytest.raises(kind, match=words):
        recover(plain, lesson, Recipe(**settings), generator=rng)  # type: ignore[arg-type]


def test_data_without_labels_are_refused(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    bare = replace(lesson, train=ArraySamples(lesson.train.inputs, None, "x.npy"))
    with pytest.raises(DataError, match=r"x\.npy has no labels, .* give labels, or distill"):
        recover(plain, bare, generator=rng)


def test_a_frozen_network_is_refused(
    plain: nn.Module, lesson: Lesson, rng: torch.Generator
) -> None:
    with pytest.raises(RecoveryError, match="no parameter of the network asks for a gradient"):
        recover(plain.requires_grad_(requires_grad=False), lesson, generator=rng)
