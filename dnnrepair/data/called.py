"""Data from code of the user's own: ``package.module:callable`` or ``file.py:callable``."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import DataError, DnnRepairError
from dnnrepair.loading.quiet import first_line
from dnnrepair.usercode import import_named, importable, module_name

if TYPE_CHECKING:
    from collections.abc import Callable

_FORM = "give a file, or package.module:callable"


def call(spec: str) -> Any:  # noqa: ANN401 - whatever the user's code returns
    """Return what ``module:callable`` returns, or the object itself if it cannot be called.

    The user named this code, so it may run; modules in the current folder are found, as with
    ``python -m``.

    Raises:
        DataError: if it is not there, or it raises.
    """
    return run(spec, lambda found: found() if callable(found) else found)


def run(spec: str, use: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - whatever ``use`` returns
    """Return what ``use`` makes of the object that ``module:name`` names; see :func:`call`."""
    where, _, name = spec.rpartition(":")
    try:
        with importable(Path(where).absolute().parent if where.endswith(".py") else Path.cwd()):
            return use(reduce(getattr, name.split("."), import_named(where)))
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
    module = sys.modules.get(module_name(where))
    near = get_close_matches(name, dir(module), n=1) if module else []
    return f"; did you mean {near[0]!r}?" if near and near[0] != name else ""
