"""A state dict into an architecture; where they differ, say how."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import torch
from torch.nn.parameter import is_lazy

from dnnrepair.errors import ModelError
from dnnrepair.loading.quiet import first_line, quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor, nn

_SHOWN = 5  # names per kind of difference
_OPTIONAL = ("num_batches_tracked",)  # absent in files of torch before 0.4.1


def fit(module: nn.Module, state: Mapping[str, Tensor], name: str, arch: str) -> tuple[str, ...]:
    """Load ``state`` into ``module``, every tensor of it, and return notes.

    Args:
        module: fresh from its factory; changed.
        state: tensors by name.
        name: of the file, for messages.
        arch: of the architecture, for messages.

    Raises:
        ModelError: the two differ; the message names the tensors.
    """
    expected = module.state_dict()
    state, notes = without_common_prefix(state, expected)
    _compare(state, expected, name, arch)
    narrow = sorted({_dtype(v) for k, v in state.items() if v.dtype != expected[k].dtype})
    if narrow:
        notes.append(f"converted tensors stored as {', '.join(narrow)} to the architecture's type")
    try:
        with torch.no_grad(), quiet():
            module.load_state_dict(dict(state), strict=False)
    except Exception as error:
        message = f"{name}: does not fit {arch} ({first_line(error)})"
        raise ModelError(message) from error
    module.eval()
    return tuple(notes)


def without_common_prefix(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[Mapping[str, Tensor], list[str]]:
    """Take off the attribute's name under which a trainer (Lightning) kept the network."""
    if state.keys() & expected.keys():
        return state, []
    prefix = next(iter(state)).partition(".")[0] + "."
    if not all(key.startswith(prefix) for key in state):
        return state, []
    bare = {key.removeprefix(prefix): value for key, value in state.items()}
    if not bare.keys() & expected.keys():
        return state, []
    return bare, [f"stripped the prefix {prefix!r} from names"]


def _compare(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str, arch: str
) -> None:
    missing = [k for k in expected if k not in state and not k.endswith(_OPTIONAL)]
    extra = [k for k in state if k not in expected]
    shapes = [
        f"{k!r} is {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in state and _differs(state[k], expected[k])
    ]
    if not (missing or extra or shapes):
        return
    parts = [
        _part("missing", [_missing(k, expected, extra) for k in missing]),
        _part("unexpected", [f"{k!r} {tuple(state[k].shape)}" for k in extra]),
        _part("wrong shape", shapes),
    ]
    differences = "; ".join(part for part in parts if part)
    message = f"{name}: is not a state dict of {arch}: {differences}"
    raise ModelError(message)


def _differs(value: Tensor, expected: Tensor) -> bool:
    if is_lazy(expected):
        return False
    return not isinstance(expected, torch.Tensor) or value.shape != expected.shape


def _missing(key: str, expected: Mapping[str, Tensor], extra: Sequence[str]) -> str:
    value = expected[key]
    known = isinstance(value, torch.Tensor) and not is_lazy(value)
    shape = f" {tuple(value.shape)}" if known else ""
    near = get_close_matches(key, extra, n=1, cutoff=0.7)
    return f"{key!r}{shape}" + (f" (is it {near[0]!r}?)" if near else "")


def _part(title: str, found: Sequence[str]) -> str:
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{len(found)} {title}: {_join(found[:_SHOWN])}{more}"


def _join(found: Iterable[str]) -> str:
    return ", ".join(found)


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
