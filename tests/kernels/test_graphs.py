"""A generation is replayed where it can be captured, and is otherwise the plain step."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.kernels import captured, graphs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA to capture with")
def test_without_cuda_the_step_is_returned_and_not_run() -> None:
    calls: list[int] = []

    def step() -> None:
        calls.append(1)

    assert captured(step) is step
    assert not calls


class Stream:
    def wait_stream(self, other: object) -> None:
        pass


class Source:
    """A generator that a failed capture leaves unusable until its state is replaced."""

    def __init__(self) -> None:
        self.rng = torch.Generator().manual_seed(1)
        self.replaced = False

    def clone_state(self) -> Source:
        copy = Source()
        copy.rng.set_state(self.rng.get_state())
        return copy

    def get_state(self) -> torch.Tensor:
        return self.rng.get_state()

    def set_state(self, state: torch.Tensor) -> None:
        self.rng.set_state(state)

    def graphsafe_set_state(self, other: Source) -> None:
        self.rng, self.replaced = other.rng, True


class DeviceOf:
    """Puts the device of a tensor in the place of the current one."""

    current: torch.Tensor | None = None

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __enter__(self) -> None:
        DeviceOf.current = self.tensor

    def __exit__(self, *_: object) -> None:
        DeviceOf.current = None


class Graph:
    replay = staticmethod(lambda: None)

    def register_generator_state(self, generator: torch.Generator) -> None:
        pass


def fake_cuda(error: Exception | None) -> Any:
    """Return what the module uses of ``torch.cuda``, with a capture that may fail."""

    @contextmanager
    def graph(*_: object, **__: object) -> Iterator[None]:
        yield
        if error:
            raise error

    return SimpleNamespace(
        is_available=lambda: True,
        init=lambda: None,
        current_device=lambda: 0,
        default_generators=(Source(),),
        Stream=Stream,
        CUDAGraph=Graph,
        current_stream=Stream,
        device_of=DeviceOf,
        stream=lambda _: nullcontext(),
        synchronize=lambda: None,
        graph=graph,
    )


@pytest.mark.parametrize("error", [None, RuntimeError("operation not permitted\nmore")])
def test_warming_up_leaves_no_trace(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "torch", SimpleNamespace(cuda=fake_cuda(error)))
    values, source = torch.zeros(3), Source()
    before = source.get_state()
    calls: list[int] = []
    notes: list[str] = []
    generators: Any = (source,)

    def step() -> None:
        assert DeviceOf.current is values
        calls.append(1)
        values.add_(torch.rand(3, generator=source.rng))

    found = captured(step, 2, state=(values,), generators=generators, notes=notes)
    assert len(calls) == 3  # two to warm up, one to capture
    assert torch.equal(values, torch.zeros(3))
    assert torch.equal(source.get_state(), before)
    assert (found is step) == source.replaced == (error is not None)
    reason = "a generation could not be captured as a CUDA graph: operation not permitted"
    assert notes == ([reason] if error else [])


def test_an_error_of_the_step_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "torch", SimpleNamespace(cuda=fake_cuda(None)))
    steps: list[int] = []
    with pytest.raises(IndexError):
        captured(lambda: steps.__delitem__(0))
