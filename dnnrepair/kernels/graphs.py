"""One generation of a search as a CUDA graph: a single launch instead of forty."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


def captured(
    step: Callable[[], None],
    warmup: int = 3,
    *,
    state: Sequence[Tensor] = (),
    generators: Sequence[torch.Generator] = (),
    notes: list[str] | None = None,
) -> Callable[[], None]:
    """Return a function that does what ``step`` does, replayed from a CUDA graph where it can be.

    Without CUDA, or where an operation of the step cannot be captured (one that waits for the
    device, or whose shapes depend on values), ``step`` itself is returned. Either way the search
    stands where it stood: ``state``, ``generators`` and the default generator are put back after
    warming up.

    Args:
        step: one generation; reads and writes the same tensors, in place, at every call.
        warmup: calls before the capture, in which kernels are compiled and memory is set aside.
        state: all tensors that the step writes and a later step reads.
        generators: all CUDA generators that the step draws from, the default one aside.
        notes: where to say why nothing was captured.
    """
    if not torch.cuda.is_available():
        return step
    torch.cuda.init()
    with torch.cuda.device_of(state[0]) if state else nullcontext():
        return _replayed(step, warmup, state, generators, notes)


def _replayed(
    step: Callable[[], None],
    warmup: int,
    state: Sequence[Tensor],
    generators: Sequence[torch.Generator],
    notes: list[str] | None,
) -> Callable[[], None]:
    """Do so on the current device: a stream captures what is done on its own device only."""
    default = torch.cuda.default_generators[torch.cuda.current_device()]
    sources = list({id(source): source for source in (default, *generators)}.values())
    fresh = [source.clone_state() for source in sources]
    values = [tensor.clone() for tensor in state]
    try:
        replay = _capture(step, warmup, generators).replay
    except RuntimeError as error:
        for source, copy in zip(sources, fresh, strict=True):
            source.graphsafe_set_state(copy)  # its own state may be left as if capture went on
        reason = str(error).partition("\n")[0]
        if notes is not None:
            notes.append(f"a generation could not be captured as a CUDA graph: {reason}")
        replay = step
    else:
        for source, copy in zip(sources, fresh, strict=True):
            source.set_state(copy.get_state())
    torch.cuda.synchronize()
    for tensor, value in zip(state, values, strict=True):
        tensor.copy_(value)
    return replay


def _capture(
    step: Callable[[], None], warmup: int, generators: Sequence[torch.Generator]
) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()  # capture needs one other than the default
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warmup):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    return graph
