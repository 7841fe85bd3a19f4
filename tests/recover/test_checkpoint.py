"""A training that was killed goes on to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from dnnrepair.bits import digest
from dnnrepair.recover import EarlyStopping, Epoch, Lesson, Recipe, Recovered, recover
from dnnrepair.recover.recovered import RecoveryError

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
RECIPE = Recipe(epochs=6, schedule="OneCycleLR", stopping=EarlyStopping(patience=None))
KILLED = """
import os
import signal
import torch
from torch import nn
from dnnrepair.data import ArraySamples
from dnnrepair.recover import EarlyStopping, Lesson, Recipe, recover
from pathlib import Path

x, y, network = torch.load("given.pt", weights_only=False)
lesson = Lesson(train=ArraySamples((x[:240],), y[:240], "training data"),
                valid=ArraySamples((x[240:],), y[240:], "validation data"))

def kill(epoch):
    if epoch.number == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # before epoch 3 is kept

recover(network, lesson, Recipe(epochs=6, schedule="OneCycleLR",
        stopping=EarlyStopping(patience=None)),
        generator=torch.Generator().manual_seed(7), checkpoint=Path("kept"), observer=kill)
"""


def train(
    network: nn.Module, lesson: Lesson, path: Path | None, recipe: Recipe = RECIPE, seed: int = 7
) -> Recovered:
    rng = torch.Generator().manual_seed(seed)
    return recover(network, lesson, recipe, generator=rng, checkpoint=path)


class StopError(Exception):
    """Stands for whatever ends a run."""


def stopped(network: nn.Module, lesson: Lesson, path: Path, after: int) -> None:
    def stop(epoch: Epoch) -> None:
        if epoch.number == after:
            raise StopError

    rng = torch.Generator().manual_seed(7)
    with pytest.raises(StopError):
        recover(network, lesson, RECIPE, generator=rng, checkpoint=path, observer=stop)


def test_a_killed_process_loses_nothing_that_was_kept(
    network: nn.Module, lesson: Lesson, here: Path
) -> None:
    x = torch.cat([lesson.train.inputs[0], lesson.valid.inputs[0]])
    assert lesson.train.targets is not None
    assert lesson.valid.targets is not None
    y = torch.cat([lesson.train.targets, lesson.valid.targets])
    torch.save((x, y, network), here / "given.pt")
    done = subprocess.run([sys.executable, "-c", KILLED], check=False, cwd=here, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL
    straight = train(network, lesson, None)
    resumed = train(network, lesson, here / "kept")
    assert resumed.notes == (f"went on after epoch 2, from {here / 'kept'}",)
    assert digest(dict(resumed.module.state_dict())) == digest(dict(straight.module.state_dict()))
    assert repr(resumed.history) == repr(straight.history)  # NaN of the untrained epoch included


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("schedule", ["CosineAnnealingLR", "ReduceLROnPlateau"])
def test_every_place_to_stop_gives_the_same_bits(
    optimizer: str, schedule: str, network: nn.Module, lesson: Lesson, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, schedule=schedule, epochs=3)
    straight = train(network, lesson, None, recipe)
    rng = torch.Generator().manual_seed(7)

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    path = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt) as caught:
        recover(network, lesson, recipe, generator=rng, checkpoint=path, observer=stop)
    assert caught.value.kept == path  # type: ignore[attr-defined]
    resumed = train(network, lesson, path, recipe)
    assert digest(dict(resumed.module.state_dict())) == digest(dict(straight.module.state_dict()))


def test_a_finished_training_is_not_done_twice(
    network: nn.Module, lesson: Lesson, tmp_path: Path
) -> None:
    once = train(network, lesson, tmp_path / "kept")
    told: list[Epoch] = []
    rng = torch.Generator().manual_seed(7)
    again = recover(
        network,
        lesson,
        RECIPE,
        generator=rng,
        checkpoint=tmp_path / "kept",
        observer=told.append,
    )
    assert not told
    assert digest(dict(again.module.state_dict())) == digest(dict(once.module.state_dict()))


def test_another_training_does_not_go_on_from_it(
    network: nn.Module, lesson: Lesson, tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    stopped(network, lesson, path, 2)
    next_step = "name another file, or delete it to start anew"
    with pytest.raises(RecoveryError, match=f"its settings differs; {next_step}"):
        train(network, lesson, path, replace(RECIPE, learning_rate=0.5))
    with pytest.raises(RecoveryError, match="its seed differs"):
        train(network, lesson, path, seed=8)
    with pytest.raises(RecoveryError, match="its data differs"):
        train(network, replace(lesson, valid=lesson.train), path)
    with torch.no_grad():
        network.get_parameter("0.bias")[0] += 1
    with pytest.raises(RecoveryError, match="its network differs"):
        train(network, lesson, path)


def test_without_the_optimizer_state_it_does_not_go_on(
    network: nn.Module, lesson: Lesson, tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    stopped(network, lesson, path, 2)
    held = torch.load(path, weights_only=True)
    del held["optimizer"]
    torch.save(held, path)
    with pytest.raises(RecoveryError, match="holds no optimizer state, so training cannot go on"):
        train(network, lesson, path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_a_damaged_file_is_named(
    content: bytes, network: nn.Module, lesson: Lesson, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_bytes(content)
    with pytest.raises(RecoveryError, match=r"kept cannot be read"):
        train(network, lesson, tmp_path / "kept")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other")
    with pytest.raises(RecoveryError, match="is no checkpoint of a recovery"):
        train(network, lesson, tmp_path / "other")
