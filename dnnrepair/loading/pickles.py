"""Pickles: read as plain tensors and containers; as anything more only if the user trusts them."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading.archive import Archive
from dnnrepair.loading.quiet import first_line, quiet
from dnnrepair.loading.sniff import Kind

if TYPE_CHECKING:
    from pathlib import Path

# How torch words the name that its restricted unpickler refused.
_REFUSED = re.compile(
    r"(?:GLOBAL|Unsupported global: GLOBAL|Unsupported class|Trying to (?:load|call|instantiate)"
    r"(?: unsupported GLOBAL| reduce on| setstate)?)\s+([\w.]+)"
)
_FOREIGN = (Exception, SystemExit)  # an unpickler may raise anything


def read_pickle(path: Path, kind: Kind, *, trust_pickle: bool) -> tuple[Any, bool]:
    """Return what a torch file holds, and whether unpickling it could have run code.

    Args:
        path: the file.
        kind: of the three kinds that are pickles.
        trust_pickle: unpickle freely where the restricted unpickler refuses.

    Raises:
        UntrustedError: loading it would run code, and nobody said that this is all right.
        ModelError: the file is damaged, or needs a module that is not here.
    """
    if kind is Kind.STATE:
        with Archive(path) as archive:
            archive.verify()
    if kind is not Kind.PICKLE:
        try:
            return _restricted(path, kind), False
        except UntrustedError:
            if not trust_pickle:
                raise
    if not trust_pickle:
        message = (
            f"{path}: refused, a plain pickle, and loading one runs code from the file; if you "
            "trust its origin add --trust-pickle, else have it saved with "
            "torch.save(model.state_dict(), ...)"
        )
        raise UntrustedError(message)
    return _free(path, kind), True


def _restricted(path: Path, kind: Kind) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        with quiet():
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_mapped(kind))
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise _damaged(path, error) from error
        message = (
            f"{path}: refused, it asks for {refused[1]}, and unpickling that can run code from "
            "the file; if you trust its origin add --trust-pickle, else have it saved with "
            "torch.save(model.state_dict(), ...)"
        )
        raise UntrustedError(message) from error
    except _FOREIGN as error:
        raise _damaged(path, error) from error


def _free(path: Path, kind: Kind) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        with quiet():
            if kind is Kind.PICKLE:
                with path.open("rb") as file:
                    return pickle.load(file)  # noqa: S301 - the user opted in
            return torch.load(path, map_location="cpu", weights_only=False, mmap=_mapped(kind))
    except (ImportError, AttributeError) as error:
        message = (
            f"{path}: needs code that cannot be imported here ({first_line(error)}); "
            "run in the folder of the project that saved it"
        )
        raise ModelError(message) from error
    except _FOREIGN as error:
        raise _damaged(path, error) from error


def _mapped(kind: Kind) -> bool:
    # Mapping also bounds every storage by the file, whatever size the pickle claims.
    return kind is Kind.STATE


def _damaged(path: Path, error: BaseException) -> ModelError:
    return ModelError(
        f"{path}: cannot be read as a torch file ({first_line(error)}); "
        "download or save the file again"
    )
