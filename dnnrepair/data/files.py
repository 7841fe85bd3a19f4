"""Arrays and tensors in files; nothing in a file is executed."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from difflib import get_close_matches
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from dnnrepair.data.samples import as_tensor
from dnnrepair.errors import DataError, DnnRepairError
from dnnrepair.loading.archive import Archive
from dnnrepair.loading.quiet import first_line, quiet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.data.samples import DataOptions

INPUTS = ("x", "X", "images", "image", "inputs", "data", "features", "input_ids", "pixel_values")
TARGETS = ("y", "Y", "labels", "targets", "target", "label")
_PARTS = ("test", "val", "valid", "validation", "train")
_NPY = b"\x93NUMPY"


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """What a file holds.

    Attributes:
        inputs: one tensor per input of the network, samples first.
        targets: labels or values, None if there are none.
        notes: what was chosen or changed, a sentence each.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor | None = None
    notes: tuple[str, ...] = ()


def read_npz(path: Path, part: str, options: DataOptions) -> Arrays:
    """Return inputs and labels of an ``.npz``, or the inputs in an ``.npy`` (mapped, not read).

    Raises:
        DataError: if it is damaged, holds pickled objects, or the names are missing.
    """
    try:
        with quiet(), path.open("rb") as file:
            if file.read(len(_NPY)) == _NPY:
                return Arrays(inputs=(as_tensor(np.lib.format.open_memmap(path, "c")),))
            file.seek(0)
            with zipfile.ZipFile(file):
                pass  # NumPy would take anything else for a pickle
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                chosen = choose(archive.files, part, options, str(path))
                held = {name: archive[name] for name in chosen.names()}
    except DnnRepairError:
        raise
    except Exception as error:
        if any(
            words in str(error) for words in ("allow_pickle", "Object arrays", "Python objects")
        ):
            message = f"{path} holds pickled objects, which could run code; save plain arrays"
        else:
            message = f"{path} cannot be read as NumPy arrays: {first_line(error)}"
        raise DataError(message) from error
    return arrays_of(held, chosen)


def read_tensors(path: Path, part: str, options: DataOptions) -> Arrays:
    """Return inputs and labels of a ``.pt`` or ``.safetensors`` file, read without unpickling code.

    Raises:
        DataError: if it is damaged, would run code, or the names are missing.
    """
    held = _held(path)
    if isinstance(held, torch.Tensor):
        return Arrays(inputs=(held,))
    if isinstance(held, tuple | list) and held and all(isinstance(v, torch.Tensor) for v in held):
        *inputs, targets = held
        return (
            Arrays(inputs=tuple(inputs), targets=targets) if inputs else Arrays(inputs=(targets,))
        )
    if not isinstance(held, dict):
        message = f"{path} holds {type(held).__name__}; save a dict with x and y"
        raise DataError(message)
    named = {str(key): value for key, value in held.items() if isinstance(value, torch.Tensor)}
    return arrays_of(named, choose(named, part, options, str(path)))


def _held(path: Path) -> Any:  # noqa: ANN401 - whatever torch wrote
    try:
        with quiet():
            if path.suffix == ".safetensors":
                return load_file(path)
            if zipfile.is_zipfile(path):
                with Archive(path) as archive:
                    archive.verify()  # torch's reader trusts sizes and offsets
            return torch.load(path, weights_only=True, map_location="cpu")
    except UnpicklingError as error:
        message = (
            f"{path} holds more than tensors, which could run code, or is damaged; save tensors"
        )
        raise DataError(message) from error
    except Exception as error:
        message = f"{path} cannot be read as tensors: {first_line(error)}"
        raise DataError(message) from error


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which names of a file are inputs and labels.

    Attributes:
        inputs: names of the inputs, in order.
        target: name of the labels, "" if there are none.
        notes: how they were chosen, where that is not plain.
    """

    inputs: tuple[str, ...]
    target: str = ""
    notes: tuple[str, ...] = ()

    def names(self) -> Iterator[str]:
        """Yield all names."""
        yield from self.inputs
        if self.target:
            yield self.target


def choose(names: Collection[str], part: str, options: DataOptions, where: str) -> Choice:
    """Return the names of inputs and labels among those in a file.

    Args:
        names: of all arrays.
        part: "" or what follows the colon, such as "test".
        options: with the names that the user gave, if any.
        where: the file, for errors.

    Raises:
        DataError: if a name is missing.
    """
    for name in (*options.features, *filter(None, [options.label])):
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DataError(_missing(where, name, names, hint))
    inputs = options.features or _inputs(names, part)
    target = options.label or next(_spelled(TARGETS, part, names), "")
    if inputs:
        note = "" if target else f"no labels found (an array named {', '.join(TARGETS[:3])}, ...)"
        return Choice(inputs=inputs, target=target, notes=(note,) if note else ())
    parts = [p for p in _PARTS if _inputs(names, p)]
    if parts and not part:
        found = choose(names, parts[0], options, where)
        note = f"the part {parts[0]!r} was used; there are {', '.join(parts)}"
        return Choice(inputs=found.inputs, target=found.target, notes=(note, *found.notes))
    wanted = f"x_{part}" if part else "x"
    raise DataError(_missing(where, wanted, names))


def arrays_of(held: Mapping[str, Any], chosen: Choice) -> Arrays:
    """Return the chosen arrays as tensors."""
    return Arrays(
        inputs=tuple(as_tensor(held[name]) for name in chosen.inputs),
        targets=as_tensor(held[chosen.target]) if chosen.target else None,
        notes=chosen.notes,
    )


def _inputs(names: Collection[str], part: str) -> tuple[str, ...]:
    """Return ``("x",)``, or ``("x1", "x2")`` for several inputs."""
    found = next(_spelled(INPUTS, part, names), None)
    if found:
        return (found,)
    suffix = f"_{part}" if part else ""
    several = [f"x{place}{suffix}" for place in range(1, len(names) + 1)]
    return tuple(name for name in several if name in names)


def _spelled(known: tuple[str, ...], part: str, names: Collection[str]) -> Iterator[str]:
    for name in known:
        spellings = (f"{name}_{part}", f"{part}_{name}") if part else (name,)
        yield from (spelling for spelling in spellings if spelling in names)


def _missing(where: str, wanted: str, names: Collection[str], hint: str = "") -> str:
    listed = ", ".join(list(names)[:12]) or "nothing"
    return (
        f"{where} holds {listed}, but no {wanted!r}; {hint}"
        "name arrays with --features and --label, or a part as in 'file.npz:test'"
    )
