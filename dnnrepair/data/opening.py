"""From what the user wrote after ``--data`` to samples."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnrepair.data.arrays import ArraySamples
from dnnrepair.data.files import read_npz, read_tensors
from dnnrepair.data.images import ImageFolder, class_folders
from dnnrepair.data.samples import DataOptions, Samples, samples_of
from dnnrepair.data.streams import LoaderSamples
from dnnrepair.data.tables import is_table, read_table
from dnnrepair.data.transform import transform_for
from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

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
        message = f"{spec} is empty"
        raise DataError(message)
    if is_table(path):
        inputs, targets = read_table(path, options)
        return _arrays((inputs,), targets, spec, options)
    if path.suffix in (".npz", ".npy"):
        return _arrays(*read_npz(path, part), spec, options)
    if path.suffix in _TENSORS:
        return _arrays(*read_tensors(path, part), spec, options)
    message = f"{spec}: {path.suffix or 'a file without a suffix'} is not known; give {_FORMS}"
    raise DataError(message)


def _file_and_part(spec: str) -> tuple[Path | None, str]:
    """Return the file and the part after a colon; no file if a callable is meant."""
    if Path(spec).exists() or ":" not in spec:
        return Path(spec), ""
    before, _, part = spec.rpartition(":")
    known = Path(before).suffix in (".npz", *_TENSORS)
    return (Path(before), part) if known else (None, part)


def _arrays(
    inputs: tuple[Tensor, ...], targets: Tensor | None, name: str, options: DataOptions
) -> ArraySamples:
    if not inputs or len(inputs[0]) == 0:
        message = f"{name} holds no samples"
        raise DataError(message)
    transform, notes = transform_for(inputs[0][:2], options)
    return ArraySamples(inputs, targets, name, transform=transform, notes=notes)


def _images(path: Path, name: str, options: DataOptions) -> Samples:
    if not class_folders(path):
        message = f"{name} is a folder without class folders of images; one folder per class"
        raise DataError(message)
    folder = ImageFolder(path)
    first, _ = folder[0]
    transform, notes = transform_for(first[None], options)
    classes = ", ".join(folder.classes[:20])
    return LoaderSamples(folder, name, transform=transform, notes=(*notes, f"classes: {classes}"))


def _called(spec: str, options: DataOptions) -> Samples:
    """Call ``module:callable``; the user named this code, so it may run."""
    where, _, name = spec.rpartition(":")
    try:
        module = _module(where)
        made = getattr(module, name)
        data = made() if callable(made) else made
    except (ImportError, AttributeError, FileNotFoundError) as error:
        message = f"{spec}: {error}; give a file or package.module:callable"
        raise DataError(message) from error
    except Exception as error:
        message = f"{spec} raised {type(error).__name__}: {error}"
        raise DataError(message) from error
    if isinstance(data, dict):
        data = tuple(data.values())
    samples = samples_of(data, spec)
    if isinstance(samples, ArraySamples):
        return _arrays(samples.inputs, samples.targets, spec, options)
    return samples


def _module(where: str) -> Any:  # noqa: ANN401 - any module
    if where.endswith(".py"):
        path = Path(where).resolve()
        found = importlib.util.spec_from_file_location(path.stem, path)
        if found is None or found.loader is None or not path.exists():
            message = f"there is no file {where}"
            raise FileNotFoundError(message)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(where)
