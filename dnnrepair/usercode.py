"""Import code that the user named on the command line: ``package.module`` or ``file.py``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def import_named(where: str) -> ModuleType:
    """Return the module that ``where`` names; the folder of a file can be imported from meanwhile.

    Raises:
        FileNotFoundError: if it names a file that is not there.
        Exception: whatever the module raises.
    """
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where).absolute()
    if not path.is_file():
        message = f"there is no file {where}"
        raise FileNotFoundError(message)
    name = module_name(where)
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        message = f"{where} cannot be imported"
        raise ImportError(message)
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    with importable(path.parent):
        found.loader.exec_module(module)
    return module


def module_name(where: str) -> str:
    """Return the name under which ``where`` is known once it has been imported."""
    return f"dnnrepair_user_{Path(where).stem}" if where.endswith(".py") else where


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported, as ``python -m`` does."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)
