"""Tensors in a TorchScript pickle: torch trusts their sizes, so they are compared with the bytes.

torch's C++ unpickler takes a storage's length and a tensor's shape, strides and offset as they
stand in the pickle; a wrong one reads memory that belongs to others.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Self

from dnnrepair.loading.quiet import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BYTES = {  # per element
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage"), 1),
    "ComplexDoubleStorage": 16,
}
_PID = 5  # "storage", its class, its entry, the device, the number of elements


class Mismatch(Exception):  # noqa: N818 - it says what is wrong with the file, not with us
    """A tensor does not fit the bytes that the file holds for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where the file holds a tensor's values.

    Attributes:
        entry: of the archive, without its folder.
        shape, stride, offset: of the tensor in it, in elements.
    """

    entry: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


def tensor_mismatch(content: bytes, stored: Mapping[str, int]) -> str:
    """Return what is wrong with the tensors of a pickle, "" if nothing is.

    Args:
        content: the pickle; nothing that it names is imported or called.
        stored: bytes of each storage, by its entry's name.
    """
    try:
        _check_memo(content)
        _Reader(content, stored).load()
    except Mismatch as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - an unpickler may raise anything
        return f"a pickle that cannot be read ({first_line(error)})"
    return ""


def find_tensors(content: bytes, stored: Mapping[str, int]) -> dict[str, Stored]:
    """Return where the tensors of a pickled module are, by name.

    Args:
        content: a pickle in which :func:`tensor_mismatch` finds nothing wrong.
        stored: bytes of each storage, by its entry's name.
    """
    found: dict[str, Stored] = {}
    waiting: list[tuple[str, Any]] = [("", _Reader(content, stored).load())]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, _Tensor):
            found[name] = value.stored
        elif isinstance(value, _Inert) and id(value) not in seen and isinstance(value.state, dict):
            seen.add(id(value))
            prefix = f"{name}." if name else ""
            waiting.extend((f"{prefix}{key}", inner) for key, inner in value.state.items())
    return found


def _check_memo(content: bytes) -> None:
    """Refuse numbers for which the unpickler would reserve gigabytes."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in {"PUT", "BINPUT", "LONG_BINPUT"} and int(str(argument)) > len(content):
            message = "a reference with an impossible number"
            raise Mismatch(message)


class _Inert:
    """Stands for whatever class or function a pickle names; does nothing, accepts everything."""

    state: object = None  # what it was to be made of

    def __init__(self, *_args: Any) -> None:  # noqa: ANN401
        pass

    def __new__(cls, *_args: Any) -> Self:  # noqa: ANN401
        return super().__new__(cls)

    def __call__(self, *_args: Any) -> _Inert:  # noqa: ANN401
        return _Inert()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _item: object) -> None:
        pass

    def extend(self, _items: object) -> None:
        pass


class _Storage(_Inert):
    def __init__(self, elements: int = 0, entry: str = "") -> None:
        self.elements = elements
        self.entry = entry

    def __new__(cls, *_args: Any) -> Self:  # noqa: ANN401
        return object.__new__(cls)


class _Tensor(_Inert):
    def __init__(self, stored: Stored) -> None:
        self.stored = stored


class _Reader(pickle.Unpickler):
    """Reads a pickle in which every name stands for nothing, and looks at its tensors."""

    def __init__(self, content: bytes, stored: Mapping[str, int]) -> None:
        super().__init__(io.BytesIO(content))
        self._stored = stored

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own type
        if module == "torch._utils" and name.startswith("_rebuild"):
            return _rebuild if name in {"_rebuild_tensor", "_rebuild_tensor_v2"} else _refuse
        return type(name, (_Inert,), {}) if name.isidentifier() else _Inert

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401 - pickle's own type
        if not isinstance(pid, tuple) or len(pid) != _PID or pid[0] != "storage":
            message = "a reference that is no storage"
            raise Mismatch(message)
        size = _BYTES.get(getattr(pid[1], "__name__", ""))
        elements, stored = pid[4], self._stored.get(str(pid[2]))
        if size is None or stored is None or not isinstance(elements, int):
            message = f"a storage of unknown type or without values ({str(pid[2])[:40]!r})"
            raise Mismatch(message)
        if elements < 0 or elements * size > stored:
            message = f"a storage of {elements} elements in {stored} bytes"
            raise Mismatch(message)
        return _Storage(elements, str(pid[2]))


def _refuse(*_args: object) -> NoReturn:
    message = "tensors that are quantized, sparse or of a class of their own"
    raise Mismatch(message)


def _rebuild(
    storage: object, offset: object, sizes: Sequence[int], strides: Sequence[int], *_rest: object
) -> _Inert:
    numbers = (offset, *sizes, *strides)
    valid = all(isinstance(number, int) and number >= 0 for number in numbers)
    if not isinstance(storage, _Storage) or not valid or len(sizes) != len(strides):
        message = "a tensor of impossible shape"
        raise Mismatch(message)
    shape, stride, start = tuple(sizes), tuple(strides), int(str(offset))
    reach = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if 0 not in shape and start + reach >= storage.elements:
        message = f"a tensor of shape {shape} in {storage.elements} elements"
        raise Mismatch(message)
    return _Tensor(Stored(entry=storage.entry, shape=shape, stride=stride, offset=start))
