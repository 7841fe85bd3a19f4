"""A device without a GPU: what stands on the wrong device fails on it as it does on CUDA.

Its tensors lie in the host's memory and its operations are the host's, so whatever is computed is
exact. But they are tensors of another device: operations on tensors of two devices are refused, so
are the host's generators, and fused operations that only the host has. Kernels, streams, graphs
and lack of memory are not emulated; only what would make the host wait is refused on demand.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.backend_registration import (
    generate_methods_for_privateuse1_backend,
    rename_privateuse1_backend,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    State = tuple[Tensor, ...]
    Cell = Callable[[Tensor, Tensor, State], State]

NAME = "emulated"
SOURCE = Path(__file__).with_suffix(".cpp")


def start(folder: Path) -> None:
    """Add the device to this process, once; it changes how torch behaves and cannot be removed.

    Args:
        folder: where the compiled extension is kept.
    """
    torch.ops.load_library(_compiled(folder))
    rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, _module())
    generate_methods_for_privateuse1_backend()
    _add_recurrent_layers()


@contextmanager
def capturing() -> Iterator[None]:
    """Refuse what cannot be captured as a CUDA graph: whatever makes the host wait.

    Waiting are reading a number, copies between devices, and shapes that depend on values.
    """
    torch.ops.emulated.capture(True)
    try:
        yield
    finally:
        torch.ops.emulated.capture(False)


def _compiled(folder: Path) -> Path:
    """Return the extension, compiled unless the folder has it for this source and this torch."""
    root = Path(torch.__file__).parent
    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    library = folder / f"{NAME}-{key}.so"
    if not library.exists():
        made = library.with_suffix(f".{os.getpid()}")
        includes = [f"-I{root / part}" for part in ("include", "include/torch/csrc/api/include")]
        links = [f"-L{root / 'lib'}", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{root / 'lib'}"]
        options = ["-shared", "-fPIC", "-std=c++20", "-O1", "-w"]
        command = ["g++", *options, *includes, str(SOURCE), *links, "-o", str(made)]
        subprocess.run(command, check=True)
        made.rename(library)
    return library


def _module() -> ModuleType:
    """Return what torch looks for under ``torch.emulated``."""
    module = ModuleType(f"torch.{NAME}")
    module.is_available = module.is_initialized = lambda: True  # type: ignore[attr-defined]
    module.current_device = lambda: 0  # type: ignore[attr-defined]
    module.device_count = lambda: 1  # type: ignore[attr-defined]
    module._is_in_bad_fork = lambda: False  # type: ignore[attr-defined]
    module.manual_seed_all = lambda _: None  # type: ignore[attr-defined]
    module.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    return module


def _add_recurrent_layers() -> None:
    """Compute recurrent layers by definition: off the host, torch takes kernels of its own."""
    library = torch.library.Library("aten", "IMPL")
    kept.append(library)
    for name, cell in _CELLS.items():
        layer = _layer(cell, several=name == "lstm")
        for key in ("PrivateUse1", "AutogradPrivateUse1"):
            library.impl(f"{name}.input", layer, key)


kept: list[torch.library.Library] = []  # a library's operations vanish with it


def _layer(cell: Cell, *, several: bool) -> Callable[..., tuple[Tensor, ...]]:
    def run(  # noqa: PLR0913, PLR0917 - as torch calls it
        x: Tensor,
        initial: Tensor | Sequence[Tensor],
        params: Sequence[Tensor],
        has_biases: bool,
        layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        assert not (dropout and train)
        states = tuple(initial) if several else (initial,)
        assert all(isinstance(state, Tensor) for state in states)
        x = x.transpose(0, 1) if batch_first else x
        groups = layers * (2 if bidirectional else 1)
        size = len(params) // groups
        last: list[State] = []
        for _ in range(layers):
            sides = []
            for side in range(groups // layers):
                place = len(last)
                own = params[place * size : (place + 1) * size]
                state = tuple(s[place] for s in states if isinstance(s, Tensor))
                outputs, state = _direction(cell, x, state, own, has_biases, bool(side))
                sides.append(outputs)
                last.append(state)
            x = torch.cat(sides, -1)
        ends = [torch.stack(parts) for parts in zip(*last, strict=True)]
        return (x.transpose(0, 1) if batch_first else x, *ends)

    return run


def _direction(
    cell: Cell, x: Tensor, state: State, params: Sequence[Tensor], has_biases: bool, backward: bool
) -> tuple[Tensor, State]:
    biases = params[2:4] if has_biases else repeat(None, 2)
    of_x, of_h = biases
    projection = params[-1] if len(params) % 2 else None
    steps = []
    for step in reversed(x) if backward else x:
        from_x, from_h = F.linear(step, params[0], of_x), F.linear(state[0], params[1], of_h)
        state = cell(from_x, from_h, state)
        if projection is not None:
            state = (F.linear(state[0], projection), *state[1:])
        steps.append(state[0])
    return torch.stack(steps[::-1] if backward else steps), state


def _lstm(x: Tensor, h: Tensor, state: State) -> State:
    i, f, g, o = (x + h).chunk(4, -1)
    cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def _gru(x: Tensor, h: Tensor, state: State) -> State:
    (r, z, n), (own_r, own_z, own_n) = x.chunk(3, -1), h.chunk(3, -1)
    new = (n + (r + own_r).sigmoid() * own_n).tanh()
    return (new + (z + own_z).sigmoid() * (state[0] - new),)


def _tanh(x: Tensor, h: Tensor, _: State) -> State:
    return ((x + h).tanh(),)


def _relu(x: Tensor, h: Tensor, _: State) -> State:
    return ((x + h).relu(),)


_CELLS: dict[str, Cell] = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _tanh, "rnn_relu": _relu}
