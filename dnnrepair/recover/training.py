"""Training a copy of a network, epoch by epoch, until it no longer helps."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.progress import silent
from dnnrepair.recover.checkpoint import Checkpoint, identity_of
from dnnrepair.recover.criterion import Criterion, check_labeled
from dnnrepair.recover.recipe import Recipe
from dnnrepair.recover.recovered import Epoch, Recovered, RecoveryError
from dnnrepair.recover.state import Training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.progress import Progress
    from dnnrepair.recover.lesson import Lesson


def recover(
    module: nn.Module,
    lesson: Lesson,
    recipe: Recipe | None = None,
    *,
    generator: torch.Generator,
    teacher: Callable[..., Tensor] | None = None,
    checkpoint: Path | None = None,
    observer: Callable[[Epoch], None] | None = None,
    progress: Progress = silent,
) -> Recovered:
    """Return a trained copy of a network; the network itself is left exactly as it is.

    Dropout and batch norms work in training mode while it learns, and in evaluation mode while it
    is measured. If the loss is no longer finite, training ends and the best epoch is kept.

    Args:
        module: the network, in any mode.
        lesson: what it learns.
        recipe: how; by default AdamW at 1e-3 for at most 20 epochs.
        generator: on the CPU; draws the order of samples, and seeds what the network draws.
        teacher: returns the predictions to be distilled; by default those of the network as it is.
        checkpoint: a file that holds the training after each epoch. If it is there already, the
            training goes on from it, to the same bits as if it had never been stopped. It stays.
        observer: is told of each epoch.
        progress: is told how far the work has come.

    Raises:
        DataError: there are no labels where they are needed.
        SettingError: the recipe asks for what torch does not have.
        RecoveryError: nothing can be trained, or the checkpoint is of another training.
    """
    recipe = recipe or Recipe()
    distilled = recipe.distillation
    if distilled is not None and teacher is None:
        teacher = copied(module).eval()
    criterion = Criterion.of(lesson.loss, teacher, distilled)
    for samples in (lesson.train, lesson.valid):
        check_labeled(samples, criterion)
    kept = _checkpoint(checkpoint, recipe, criterion, module, generator, lesson)
    training = Training.of(copied(module), lesson, recipe, criterion, generator)
    progress.stage("training", recipe.epochs)
    devices = [training.device] if training.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            return _run(training, kept, observer, progress)
    except KeyboardInterrupt as stop:
        if checkpoint is not None and checkpoint.exists():
            stop.kept = checkpoint  # type: ignore[attr-defined] # the command line names it
        raise


def copied(module: nn.Module) -> nn.Module:
    """Return a copy that shares no tensor with the network.

    Raises:
        RecoveryError: it cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    except Exception as error:
        kind = type(module).__name__
        message = f"{kind} cannot be copied ({error}); give a network that copy.deepcopy takes"
        raise RecoveryError(message) from error


def _checkpoint(
    path: Path | None,
    recipe: Recipe,
    criterion: Criterion,
    module: nn.Module,
    generator: torch.Generator,
    lesson: Lesson,
) -> Checkpoint | None:
    if path is None:
        return None
    settings = f"{criterion.name} {recipe.described()}"
    tensors = {name: value.detach().cpu() for name, value in module.state_dict().items()}
    drawn = generator.get_state()
    return Checkpoint(path, identity_of(settings, tensors, drawn, lesson.train, lesson.valid))


def _run(
    training: Training,
    kept: Checkpoint | None,
    observer: Callable[[Epoch], None] | None,
    progress: Progress,
) -> Recovered:
    """Begin or go on, and train until there is a reason to stop."""
    stored = kept.read() if kept else None
    notes: list[str] = []
    if stored is None:
        training.begin()
    else:
        training.resume(stored)
        done = len(training.history) - 1
        notes.append(f"went on after epoch {done}, from {kept.path if kept else ''}")
        progress.advance(done)
    reason = training.reason()
    while not reason:
        epoch = training.epoch()
        if epoch is None:
            reason = _rolled_back(training)
            notes.append(reason)
            break
        if observer is not None:
            observer(epoch)
        progress.advance(1)
        progress.note(f"loss {epoch.valid_loss:.4g}")
        if kept is not None:
            kept.write(training.state())
        reason = training.reason()
    return training.result(reason, tuple(notes))


def _rolled_back(training: Training) -> str:
    number, best = len(training.history), training.best
    which = "the network as it came" if best == 0 else f"epoch {best}, the best one"
    value = "NaN" if math.isnan(training.last_loss) else "infinite"
    return f"the loss became {value} in epoch {number}; went back to {which}"
