"""Memory that does not suffice, and activations that are kept on disk."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from dnnrepair.data.streams import LoaderSamples
from dnnrepair.errors import DnnRepairError
from dnnrepair.fitness import Arachne
from dnnrepair.population import EvaluatorSettings, Place, prepare
from dnnrepair.population.memory import TooLargeError
from dnnrepair.population.segments import FileSegment
from dnnrepair.population.store import Store
from dnnrepair.population.suffix import Suffix
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dnnrepair.population.blocks import Block
    from dnnrepair.population.frame import Chunk, Frame

PLACES = [Place("0.weight", (1, 2)), Place("2.weight", (3, 4))]
FULL = Path("/dev/full")
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    MemoryError(),
]


def evaluator(case: Any, **options: Any) -> Any:
    fitness = Arachne(torch.linspace(0, 10, len(case.labels)))
    settings = EvaluatorSettings(**options)
    return prepare(case.subject, PLACES, case.samples, fitness, settings)


def candidates(ready: Any, count: int) -> torch.Tensor:
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    found: torch.Tensor = ready.originals + 0.5 * noise
    return found


def shortage(monkeypatch: pytest.MonkeyPatch, error: Exception, chunk: int, block: int) -> None:
    """Have memory suffice for so many candidates and inputs at a time."""
    run = Suffix.run

    def scarce(self: Suffix, frame: Frame, values: Chunk) -> Any:
        found = run(self, frame, values)
        if len(values) > chunk or found.shape[0] > block:
            raise error
        return found

    monkeypatch.setattr(Suffix, "run", scarce)


@pytest.mark.parametrize("error", ERRORS, ids=["cuda", "cpu", "python"])
@pytest.mark.parametrize("ask", ["__call__", "verdicts", "logits"])
def test_the_chunk_is_halved_until_it_fits(
    mlp: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, ask: str
) -> None:
    ready = evaluator(mlp, chunk=16)
    values = candidates(ready, 21)
    wanted = getattr(ready, ask)(values)
    shortage(monkeypatch, error, chunk=5, block=100)
    assert torch.equal(getattr(ready, ask)(values), wanted)
    assert ready.notes == [f"memory was short: {n} candidates at a time" for n in (8, 4)]
    getattr(ready, ask)(values)
    assert len(ready.notes) == 2  # it has learnt


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_then_the_block_is_halved(mlp: Any, monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    ready = evaluator(mlp, chunk=2, memory=memory)
    values = candidates(ready, 5)
    wanted, verdicts = ready(values), ready.verdicts(values)
    shortage(monkeypatch, ERRORS[1], chunk=9, block=32)  # of 25, filled up
    torch.testing.assert_close(ready(values), wanted, rtol=2**-20, atol=0)
    assert torch.equal(ready.verdicts(values), verdicts)
    assert ready.notes == [
        "memory was short: 1 candidates at a time",
        "memory was short: 25 inputs at a time",
    ]


def test_when_nothing_helps_one_line_says_so(mlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = evaluator(mlp, chunk=4)
    shortage(monkeypatch, ERRORS[1], chunk=0, block=0)
    with pytest.raises(TooLargeError, match="use fewer inputs at a time") as caught:
        ready(candidates(ready, 5))
    assert "\n" not in str(caught.value)
    assert (ready.chunk, ready.block) == (1, 1)


def test_other_failures_are_not_taken_for_a_lack_of_memory(
    mlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = evaluator(mlp, chunk=4)
    shortage(monkeypatch, RuntimeError("shapes do not match"), chunk=0, block=0)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        ready(candidates(ready, 5))
    assert not ready.notes


def test_files_vanish_with_the_evaluator(mlp: Any, tmp_path: Path) -> None:
    ready = evaluator(mlp, block=20, memory=0, cache_dir=tmp_path)
    files = list(tmp_path.rglob("*.bin"))
    assert files
    needed = sum(block.frame.bytes for block in ready.blocks)
    assert on_disk(files) >= needed > 0
    wanted = evaluator(mlp, block=20)(candidates(ready, 3))
    assert torch.equal(ready(candidates(ready, 3)), wanted)
    del ready
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_what_fits_into_memory_is_not_written(mlp: Any, tmp_path: Path) -> None:
    ready = evaluator(mlp, block=20, cache_dir=tmp_path)
    assert ready.blocks
    assert not list(tmp_path.iterdir())


def test_what_is_kept_in_memory_lies_together(mlp: Any) -> None:
    """Otherwise it lies in the holes of passing activations, which memory keeps then, too."""
    ready = evaluator(mlp, block=20)
    kept = [t for block in ready.blocks for t in (*block.frame.tensors().values(), *own(block))]
    assert len({tensor.untyped_storage().data_ptr() for tensor in kept if tensor.numel()}) == 1


@pytest.mark.parametrize("ask", ["__call__", "verdicts", "logits"])
def test_evaluation_leaves_nothing_behind(exact_case: Any, ask: str) -> None:
    """All that depends on the inputs alone is computed while they are recorded."""
    rng = torch.Generator().manual_seed(0)
    places = exact_case.places(6, rng)
    fitness = Arachne(torch.linspace(0, 10, len(exact_case.labels)))
    ready: Any = prepare(exact_case.subject, places, exact_case.samples, fitness)
    before = [set(block.frame.kept) for block in ready.blocks]
    getattr(ready, ask)(exact_case.values(places, 3, 0.5, rng))
    assert [set(block.frame.kept) for block in ready.blocks] == before


def own(block: Block) -> tuple[torch.Tensor, ...]:
    return block.indices, block.targets, block.weights


def on_disk(files: Iterable[Path]) -> int:
    """Return how many bytes files take, without what was never written of them."""
    return sum(file.stat().st_blocks * 512 for file in files)


@pytest.mark.parametrize("size", [1, 1000])
def test_many_tensors_share_a_file(
    mlp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(FileSegment, "SIZE", size)
    ready = evaluator(mlp, block=16, memory=0, cache_dir=tmp_path)
    tensors = [t for block in ready.blocks for t in block.frame.tensors().values() if t.numel()]
    files = list(tmp_path.rglob("*.bin"))
    assert (len(files) == len(tensors)) == (size == 1)
    assert len(files) > 1
    wanted = evaluator(mlp, block=16)(candidates(ready, 3))
    assert torch.equal(ready(candidates(ready, 3)), wanted)


@pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
def test_a_full_disk_is_one_line(mlp: Any) -> None:
    kept = Store(0, None, Path("/"), files=[FileSegment(torch.empty(1 << 20), path=FULL)])
    frame = evaluator(mlp).blocks[0].frame
    with pytest.raises(DnnRepairError, match=r"No space left on device; free some space") as caught:
        kept.keep(frame)
    assert "disk in /:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_one_line(mlp: Any, tmp_path: Path) -> None:
    with pytest.raises(DnnRepairError, match="name another folder"):
        evaluator(mlp, memory=0, cache_dir=tmp_path / "absent")


def test_a_stream_larger_than_memory_is_kept_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
    inputs, labels = torch.randn(20_000, 6), torch.randint(4, (20_000,))
    samples = LoaderSamples(TensorDataset(inputs, labels))
    subject = subject_of(module, samples, task="classify")
    held: list[int] = []
    keep = Store.keep

    def watched(self: Store, frame: Frame) -> None:
        keep(self, frame)
        held.append(self.held)

    monkeypatch.setattr(Store, "keep", watched)
    fitness = Arachne(torch.rand(20_000))

    def ready(memory: int) -> Any:
        settings = EvaluatorSettings(memory=memory, cache_dir=tmp_path, block=1000)
        return prepare(subject, PLACES[:1], samples, fitness, settings)

    disk = ready(0)
    assert held == [0] * 20
    assert on_disk(tmp_path.rglob("*.bin")) > 20_000 * 4
    values = candidates_around(disk, 30)
    found = disk(values)
    assert torch.equal(found, ready(1 << 30)(values))
    assert held[-1] > 0
    right = disk.verdicts(values[:1])[0]
    own = module.state_dict()
    with torch.no_grad():
        own["0.weight"][1, 2] = values[0, 0]
        assert torch.equal(right, module(inputs).argmax(1) == labels)


def candidates_around(ready: Any, count: int) -> torch.Tensor:
    found: torch.Tensor = ready.originals + torch.linspace(-1, 1, count).unsqueeze(1)
    return found


def test_memory_that_does_not_suffice_for_recording_halves_the_block(
    mlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Suffix.record

    def scarce(self: Suffix, inputs: Any) -> Any:
        if len(inputs[0]) > 16:
            raise ERRORS[1]
        return whole(self, inputs)

    monkeypatch.setattr(Suffix, "record", scarce)
    places = [Place("0.weight", (1, 2))]
    fitness = Arachne(torch.ones(len(mlp.labels)))
    found = prepare(mlp.subject, places, mlp.samples, fitness, EvaluatorSettings(block=50))
    assert found.notes == [f"memory was short: {size} inputs at a time" for size in (25, 12)]
    monkeypatch.undo()
    plain = prepare(mlp.subject, places, mlp.samples, fitness)
    values = torch.tensor([[0.5], [2.0]])
    torch.testing.assert_close(found(values), plain(values), rtol=2**-20, atol=0)
