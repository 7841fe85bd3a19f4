"""Who trains copies, and where finished trainings are kept so that none is done twice."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from inspect import getsource
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

import torch

from dnnrepair.files import OutputError, write_bytes_whole
from dnnrepair.recover import RecoveryError, recover, recover_with
from dnnrepair.recover.checkpoint import identity_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from dnnrepair.progress import Progress
    from dnnrepair.recover import Lesson, Recipe, Recovered
    from dnnrepair.recover.supplied import Train

_SCHEMA = 1
_DONE, _PART = ".done", ".part"  # a finished training, and one in progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What a training made of a copy.

    Attributes:
        state: its tensors by name.
        epochs: that it was trained.
        said: how it went, in a sentence.
        elsewhere: seconds that it took another process; 0 if it was done by this one.
        earlier: that was in a run before this one.
    """

    state: Mapping[str, Tensor]
    epochs: int
    said: str
    elsewhere: float = 0.0
    earlier: bool = False


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Trains copies by their recipe, or by a function of the user's.

    A training is known by all that decides what comes of it: network, data, recipe or function, and
    seed. One that a folder holds is not done again: so a repair that was killed goes on, and other
    processes can train ahead.

    Attributes:
        function: instead of recipes; None for none.
        name: of the function, as the user wrote it.
        folder: where trainings are kept; None for nowhere.
        run: a name for this run, which its processes share.
    """

    function: Train | None = None
    name: str = ""
    folder: Path | None = None
    run: str = field(default_factory=lambda: uuid4().hex)

    def teach(
        self,
        module: nn.Module,
        code: str,
        lesson: Lesson,
        recipe: Recipe,
        generator: torch.Generator,
        progress: Progress,
    ) -> Taught:
        """Return what a training makes of a copy of a module, or what it made of it before.

        Args:
            module: the network.
            code: what it computes: with its tensors, this tells it from any other.
            lesson: what it learns.
            recipe: how, unless there is a function.
            generator: of what is random.
            progress: is told how far the work has come.

        Raises:
            RecoveryError: nothing can be trained, or the user's function fails.
            OutputError: the folder cannot be written to.
        """
        if self.folder is None:
            return self._taught(module, lesson, recipe, generator, progress)
        _make(self.folder)
        place = self.folder / self._key(module, code, lesson, recipe, generator)
        done, part = place.with_suffix(_DONE), place.with_suffix(_PART)
        known = self._read(done)
        if known is not None:
            return known
        began = perf_counter()
        found = self._taught(module, lesson, recipe, generator, progress, _sound(part))
        self._write(done, found, perf_counter() - began)
        part.unlink(missing_ok=True)
        return found

    def forget(self) -> None:
        """Delete what the folder holds: the repair is over, and its result is written."""
        if self.folder is None or not self.folder.is_dir():
            return
        for suffix in (_DONE, _PART):
            for path in self.folder.glob(f"*{suffix}"):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there
            self.folder.rmdir()

    def _taught(
        self,
        module: nn.Module,
        lesson: Lesson,
        recipe: Recipe,
        generator: torch.Generator,
        progress: Progress,
        part: Path | None = None,
    ) -> Taught:
        if self.function is None:
            found = recover(
                module, lesson, recipe, generator=generator, checkpoint=part, progress=progress
            )
            spent = len(found.history) - 1
            said = f"trained for {spent} epochs, kept epoch {found.best}: {found.reason}"
            return Taught(state=found.module.state_dict(), epochs=spent, said=said)
        found = recover_with(self.function, module, lesson, generator=generator)
        _check_tensors(self.name, module, found)
        said = f"trained by {self.name}: {found.reason}"
        return Taught(state=found.module.state_dict(), epochs=1, said=said)

    def _key(
        self,
        module: nn.Module,
        code: str,
        lesson: Lesson,
        recipe: Recipe,
        generator: torch.Generator,
    ) -> str:
        """Return what tells this training from any other, as a file name."""
        how = recipe.described() if self.function is None else f"{self.name} {self._source()}"
        tensors = {name: value.detach().cpu() for name, value in module.state_dict().items()}
        drawn = generator.get_state()
        parts = identity_of(f"{lesson.loss} {how}", tensors, drawn, lesson.train, lesson.valid)
        return sha256(repr((sorted(parts.items()), code)).encode()).hexdigest()[:24]

    def _source(self) -> str:
        """Return the code of the user's function, "" where it cannot be read."""
        try:
            return getsource(self.function)  # type: ignore[arg-type]
        except (OSError, TypeError):
            return ""

    def _read(self, path: Path) -> Taught | None:
        """Return a finished training, None if there is none that can be read."""
        try:
            held = torch.load(path, map_location="cpu", weights_only=True)
            found = Taught(
                state=held["state"],
                epochs=held["epochs"],
                said=held["said"],
                elsewhere=held["seconds"],
                earlier=held["run"] != self.run,
            )
        except Exception:  # noqa: BLE001 - missing or damaged: it is done again
            return None
        return found if held.get("schema") == _SCHEMA else None

    def _write(self, path: Path, taught: Taught, seconds: float) -> None:
        held = {
            "schema": _SCHEMA,
            "run": self.run,
            "seconds": seconds,
            "state": {name: value.detach().cpu() for name, value in taught.state.items()},
            "epochs": taught.epochs,
            "said": taught.said,
        }
        buffer = io.BytesIO()
        torch.save(held, buffer)
        write_bytes_whole(path, buffer.getvalue())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot keep trainings in {folder}: {reason}; name another --output"
        raise OutputError(message) from error


def _sound(part: Path) -> Path:
    """Return the file of a training in progress, after deleting one that cannot go on."""
    if part.exists():
        try:
            whole = "optimizer" in torch.load(part, map_location="cpu", weights_only=True)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the training begins anew
            whole = False
        if not whole:
            part.unlink(missing_ok=True)
    return part


def _check_tensors(name: str, module: nn.Module, found: Recovered) -> None:
    """Make sure that a training function returned a network with the tensors that it was given.

    Raises:
        RecoveryError: it did not.
    """
    before = {key: value.shape for key, value in module.state_dict().items()}
    after = {key: value.shape for key, value in found.module.state_dict().items()}
    if before != after:
        odd = next(key for key in (*before, *after) if before.get(key) != after.get(key))
        message = (
            f"the training function {name} returned another network ({odd} differs); train the "
            "one that it is given, or return one with the same tensors"
        )
        raise RecoveryError(message)
