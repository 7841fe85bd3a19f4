"""Data from code of the user's own: ``package.module:callable`` or ``file.py:callable``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import DataError, DnnRepairError
from dnnrepair.loading.quiet import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_FORM = "give a file, or package.module:callable"


def call(spec: str) -> Any:  # noqa: ANN401 - whatever the user's code returns
    """Return what ``module:callable`` returns, or the object itself if it cannot be called.

    The user named this code, so it may run; modules in the current folder are found, as with
    ``python -m``.

    Raises:
        DataError: if it is not there, or it raises.
    """
    where, _, name = spec.rpartition(":")
    try:
        with _importable(Path(where).absolute().parent if where.endswith(".py") else Path.cwd()):
            found = reduce(getattr, name.split("."), _module(where))
            return found() if callable(found) else found
    except DnnRepairError:
        raise
    except (ModuleNotFoundError, FileNotFoundError) as error:
        message = f"{spec}: {first_line(error)}; {_FORM}"
        raise DataError(message) from error
    except Exception as error:
        hint = _hint(where, name) if isinstance(error, AttributeError) else ""
        message = f"{spec} raised {type(error).__name__}: {first_line(error)}{hint}"
        raise DataError(message) from error


def _hint(where: str, name: str) -> str:
    module = sys.modules.get(_module_name(where))
    near = get_close_matches(name, dir(module), n=1) if module else []
    return f"; did you mean {near[0]!r}?" if near and near[0] != name else ""


def _module_name(where: str) -> str:
    return f"dnnrepair_data_{Path(where).stem}" if where.endswith(".py") else where


def _module(where: str) -> ModuleType:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path, name = Path(where).absolute(), _module_name(where)
    if not path.is_file():
        message = f"there is no file {where}"
        raise FileNotFoundError(message)
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        message = f"{where} cannot be imported"
        raise FileNotFoundError(message)
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    found.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)
