"""Architectures that the user names: ``--arch pkg.mod:Factory(10, width=32)``."""

from __future__ import annotations

import ast
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dnnrepair.errors import DnnRepairError, ModelError
from dnnrepair.loading.quiet import first_line
from dnnrepair.usercode import import_named, importable

if TYPE_CHECKING:
    from types import ModuleType

_FORM = (
    "give --arch as package.module:Factory, file.py:Factory(10, width=32), models:NAME or auto:relu"
)


@dataclass(frozen=True, kw_only=True)
class Arch:
    """What ``--arch`` says.

    Attributes:
        text: as given.
        source: module, file, or one of ``models``, ``timm`` and ``auto``.
        factory: dotted name in it.
        args, kwargs: literal arguments of the call.
    """

    text: str
    source: str
    factory: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def parse_arch(text: str) -> Arch:
    """Read what the user wrote; arguments are literals, nothing is evaluated.

    Raises:
        ModelError: it does not have the form.
    """
    call, bracket, _ = text.partition("(")
    source, colon, factory = call.rpartition(":")
    if not (colon and source and factory):
        message = f"--arch {text!r}: no factory named; {_FORM}"
        raise ModelError(message)
    args, kwargs = _arguments(text, text[len(call) :]) if bracket else ((), {})
    return Arch(text=text, source=source, factory=factory, args=args, kwargs=kwargs)


def build_arch(arch: Arch) -> nn.Module:
    """Return a fresh, untrained network; torch's random state is left as found.

    Raises:
        ModelError: nothing of that name, or it raises, or what it returns is no network.
    """
    with torch.random.fork_rng(devices=[]):
        if arch.source == "models":
            return _reference(arch)
        with importable(Path.cwd()):
            target = _resolve(_module(arch), arch)
            return _call(target, arch)


def _reference(arch: Arch) -> nn.Module:
    from dnnrepair.models import build

    name = arch.factory if ":" in arch.factory else f"{arch.factory}:init"
    try:
        return build(name).module
    except DnnRepairError as error:
        message = f"--arch {arch.text!r}: {error}"
        raise ModelError(message) from error


def _arguments(text: str, call: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        node = ast.parse(f"f{call}", mode="eval").body
        if not isinstance(node, ast.Call) or any(word.arg is None for word in node.keywords):
            raise ValueError  # noqa: TRY301 - one message for all
        named = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
        return tuple(ast.literal_eval(item) for item in node.args), named
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        message = f"--arch {text!r}: arguments must be plain literals, like (10, width=32)"
        raise ModelError(message) from error


def _module(arch: Arch) -> ModuleType:
    try:
        return import_named(arch.source)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError | FileNotFoundError):
            message = f"--arch {arch.text!r}: {first_line(error)}; {_FORM}"
        else:
            message = (
                f"--arch {arch.text!r}: importing {arch.source} failed "
                f"({type(error).__name__}: {first_line(error)})"
            )
        raise ModelError(message) from error


def _resolve(module: ModuleType, arch: Arch) -> object:
    try:
        return reduce(getattr, arch.factory.split("."), module)
    except AttributeError as error:
        near = get_close_matches(arch.factory, dir(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        message = f"--arch {arch.text!r}: {arch.source} has no {arch.factory!r}{hint}"
        raise ModelError(message) from error


def _call(target: object, arch: Arch) -> nn.Module:
    if isinstance(target, nn.Module):
        return deepcopy(target)
    if not callable(target):
        message = f"--arch {arch.text!r}: {arch.factory} is a {type(target).__name__}, no factory"
        raise ModelError(message)
    try:
        built = target(*arch.args, **arch.kwargs)
    except (Exception, SystemExit) as error:
        message = (
            f"--arch {arch.text!r}: {arch.factory} raised {type(error).__name__}: "
            f"{first_line(error)}; arguments can be given as {arch.factory}(10, width=32)"
        )
        raise ModelError(message) from error
    if not isinstance(built, nn.Module):
        message = (
            f"--arch {arch.text!r}: {arch.factory} returned a {type(built).__name__}, no nn.Module"
        )
        raise ModelError(message)
    return built
