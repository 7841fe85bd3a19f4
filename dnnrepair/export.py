"""Turn whatever was loaded into a program: torch.export first, the live module where that fails."""

from __future__ import annotations

from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING

import torch
from torch import nn

from dnnrepair.errors import ModelError
from dnnrepair.forking import begin_autograd
from dnnrepair.live import LiveProgram, in_mode
from dnnrepair.loading.quiet import first_line, quiet
from dnnrepair.program import GraphProgram
from dnnrepair.refusal import refusal, this_input

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor
    from torch.export import ExportedProgram

    from dnnrepair.loading import Loaded
    from dnnrepair.program import Program

FAILED = "torch.export failed"  # how a note begins that says so
FOLLOWED = "TorchScript control flow was followed as on an example"


def to_program(loaded: Loaded, example: Sequence[Tensor]) -> tuple[Program, tuple[str, ...]]:
    """Return the program of a loaded network, and notes on how it was obtained.

    Args:
        loaded: the network; it needs a module, a TorchScript module or an exported program.
        example: one tensor per input, at least 2 samples each.

    Raises:
        ModelError: if the network cannot be run at all.
        DataError: if the network refuses the example.
    """
    if loaded.exported is not None:
        program = GraphProgram.of(loaded.exported)
        return (program.measured(example) if example else program), ()
    if loaded.script is not None:
        program, notes = _from_script(loaded.script, tuple(example))
        return program.measured(example), notes
    if loaded.module is None:
        message = f"{loaded.name} holds no architecture; name one with --arch"
        raise ModelError(message)
    return from_module(loaded.module, example)


def from_module(module: nn.Module, example: Sequence[Tensor]) -> tuple[Program, tuple[str, ...]]:
    """Return the program of an eager module as it behaves in evaluation mode.

    The module is left exactly as found: mode, buffers, gradients and random state.
    """
    with in_mode(module, training=False):
        _try_out(module, example)
        try:
            exported = export_module(module, example)
        except Exception as error:  # noqa: BLE001 - torch.export raises a dozen kinds
            reason = first_line(error)
            note = f"{FAILED} ({reason}); watching the live module instead"
            return LiveProgram.of(module, example), (note,)
    return GraphProgram.of(exported), ()


def export_module(module: nn.Module, example: Sequence[Tensor]) -> ExportedProgram:
    """Export with a dynamic batch dimension.

    Raises:
        Exception: whatever ``torch.export.export`` raises, also where the batch size got fixed.
    """
    dynamic = tuple({0: torch.export.Dim.DYNAMIC} for _ in example)
    unread = redirect_stderr(StringIO())  # torch prints the half-made graph where it fails
    with exporting(), unread, torch.random.fork_rng(devices=[]):
        return torch.export.export(module, tuple(example), dynamic_shapes=dynamic, strict=False)


@contextmanager
def exporting() -> Iterator[None]:
    """Let forked processes train afterwards, the terminal stay empty, and attention be seen."""
    begin_autograd()
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fused kernel hides the attention
    try:
        with quiet():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _try_out(module: nn.Module, example: Sequence[Tensor]) -> None:
    """Run once, so that a wrong input is told apart from a failed export."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), exporting():
        try:
            module(*example)
        except Exception as error:
            raise refusal(this_input(example), error) from error


def _from_script(
    script: torch.jit.ScriptModule, example: tuple[Tensor, ...]
) -> tuple[GraphProgram, tuple[str, ...]]:
    from torch._export.converter import TS2EPConverter

    script.eval()
    _try_out(script, example)
    known = {**dict(script.named_parameters()), **dict(script.named_buffers())}
    try:
        with exporting():
            exported = TS2EPConverter(script, example, {}).convert()
    except Exception as error:  # noqa: BLE001 - loops and branches raise several kinds
        reason = f"{FOLLOWED} ({first_line(error)})"
        return _traced(script, example, known), (reason,)
    return GraphProgram.of(exported, known), ()


def _traced(
    script: torch.jit.ScriptModule, example: tuple[Tensor, ...], known: Mapping[str, Tensor]
) -> GraphProgram:
    """Return the operations that a script runs through on an example, with a free batch size."""
    from torch.fx.experimental.proxy_tensor import make_fx

    for mode in ("symbolic", "real"):  # real sizes fix the batch
        try:
            with exporting(), torch.no_grad():
                tracer = make_fx(
                    lambda *inputs: script(*inputs),  # noqa: PLW0108 - make_fx asks for a function
                    tracing_mode=mode,
                    pre_dispatch=True,
                    _allow_non_fake_inputs=True,
                )
                return GraphProgram.of_trace(tracer(*example), known)
        except Exception as error:  # noqa: BLE001 - as above
            reason = first_line(error)
    message = (
        f"this TorchScript module cannot be turned into a graph ({reason}); "
        "give the state dict with --arch instead"
    )
    raise ModelError(message)
