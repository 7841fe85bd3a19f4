"""From what the user wrote after ``--data`` to samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dnnrepair.data.arrays import ArraySamples
from dnnrepair.data.called import call
from dnnrepair.data.files import Arrays, arrays_of, choose, read_npz, read_tensors
from dnnrepair.data.images import ImageFolder, class_folders
from dnnrepair.data.labels import class_note, plain_labels
from dnnrepair.data.samples import DataOptions, Samples, samples_of
from dnnrepair.data.streams import LoaderSamples
from dnnrepair.data.tables import read_table
from dnnrepair.data.transform import transform_for
from dnnrepair.errors import DataError
from dnnrepair.frames import is_table

_NUMPY = (".npz", ".npy")
_TENSORS = (".pt", ".pth", ".safetensors")
_FORMS = ".npz, .npy, .pt, .safetensors, .csv, .parquet, a folder of images, or module:callable"


def open_data(spec: str, options: DataOptions | None = None) -> Samples:
    """Return the samples that ``spec`` names.

    Args:
        spec: a file (``data.npz``, ``data.npz:test``, ``.npy``, ``.pt``, ``.safetensors``,
            ``.csv``, ``.parquet``), a folder of class folders of images, or
            ``package.module:callable`` (``file.py:callable``) that returns a Dataset, a DataLoader
            or arrays.
        options: how to read them.

    Raises:
        DataError: what is wrong, where, and what to do next.
    """
    options = options or DataOptions()
    path, part = _file_and_part(spec)
    if path is None:
        return _called(spec, options)
    if path.is_dir():
        return _images(path, spec, options)
    if not path.exists():
        message = f"{spec}: there is no such file; give {_FORMS}"
        raise DataError(message)
    if path.stat().st_size == 0:
        message = f"{spec} is empty; give {_FORMS}"
        raise DataError(message)
    return _arrays(_read(path, part, options), spec, options)


def _read(path: Path, part: str, options: DataOptions) -> Arrays:
    if is_table(path):
        return read_table(path, options)
    if path.suffix in _NUMPY:
        return read_npz(path, part, options)
    if path.suffix in _TENSORS:
        return read_tensors(path, part, options)
    message = f"{path}: {path.suffix or 'a file without a suffix'} is not known; give {_FORMS}"
    raise DataError(message)


def _file_and_part(spec: str) -> tuple[Path | None, str]:
    """Return the file and the part after a colon; no file if a callable is meant."""
    if Path(spec).exists() or ":" not in spec:
        return Path(spec), ""
    before, _, part = spec.rpartition(":")
    file = Path(before)
    if file.suffix in (*_NUMPY, *_TENSORS):
        return file, part
    if file.suffix != ".py" and (file.exists() or "/" in before):
        message = f"{spec}: only .npz, .pt and .safetensors have parts; give {before}"
        raise DataError(message)
    return None, part


def _arrays(held: Arrays, name: str, options: DataOptions) -> ArraySamples:
    if not held.inputs or held.inputs[0].dim() == 0 or len(held.inputs[0]) == 0:
        message = f"{name} holds no samples"
        raise DataError(message)
    transform, done = transform_for(held.inputs[0][:2], options)
    targets, changed = (None, ()) if held.targets is None else plain_labels(held.targets)
    notes = (*held.notes, *done, *changed)
    return ArraySamples(held.inputs, targets, name, transform=transform, notes=notes)


def _images(path: Path, name: str, options: DataOptions) -> Samples:
    folders = class_folders(path)
    if not folders:
        message = f"{name} is a folder without class folders of images; give one folder per class"
        raise DataError(message)
    folder = ImageFolder(folders)
    first, _ = folder[0]
    transform, done = transform_for(first[None], replace(options, layout="NCHW"))
    notes = (*done, class_note(list(folder.classes)))
    return LoaderSamples(folder, name, transform=transform, notes=notes)


def _called(spec: str, options: DataOptions) -> Samples:
    made = call(spec)
    if isinstance(made, dict):
        return _arrays(arrays_of(made, choose(made, "", options, spec)), spec, options)
    samples = samples_of(made, spec)
    if isinstance(samples, ArraySamples):
        held = Arrays(inputs=samples.inputs, targets=samples.targets, notes=samples.notes)
        return _arrays(held, spec, options)
    if not isinstance(samples, LoaderSamples):
        return samples
    transform, done = transform_for(samples.example(2).inputs[0], options)
    return samples.transformed(transform, done)
