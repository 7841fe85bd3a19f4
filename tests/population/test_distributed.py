"""Several processes share the inputs and find what one process finds, byte for byte."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEST = 3 * 4 + 8 + 150  # bytes; short blocks of inputs round what follows differently
WAIT = 60  # seconds that a survivor may take to notice

SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from torch import nn
from dnnrepair.errors import DnnRepairError
from dnnrepair.evolve.box import Box
from dnnrepair.evolve.checkpoint import Checkpoint
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.stopping import Stopping
from dnnrepair.fitness import Arachne
from dnnrepair.population import EvaluatorSettings, Place, prepare
from dnnrepair.sharding import sharded
from dnnrepair.subject import subject_of

networks = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8)), (6,), "0.weight"),
    "conv": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(64, 8),
        ),
        (1, 6, 6),
        "2.weight",
    ),
}

def run(name, boxed, output, checkpoint=None, suicide=False):
    make, shape, tensor = networks[name]
    torch.manual_seed(3)
    module = make().eval()
    inputs = torch.randn(150, *shape)
    with torch.no_grad():
        labels = module(inputs).argmax(1)
    labels[::7] = (labels[::7] + 1) % 8
    subject = subject_of(module, (inputs, labels), task="classify")
    weight = subject.tensors[tensor]
    places = [Place(tensor, (i, i, *(1 for _ in weight.shape[2:]))) for i in range(3)]
    now = torch.stack([weight[place.index] for place in places])
    box = Box(now - 0.3, now + 0.3)
    settings = EvaluatorSettings(block=16, box=(box.low, box.high) if boxed else None)
    fitness = Arachne(10 * torch.rand(150))
    evaluator = prepare(subject, places, subject.samples, fitness, settings)
    rank = int(os.environ.get("RANK", "0"))

    def after(state):
        if suicide and rank == 1 and int(state.generation) == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    kept = Checkpoint(Path(checkpoint), "test") if checkpoint and rank == 0 else None
    result = search(
        Rand1Bin(candidates=12), evaluator, box, [5], stopping=Stopping(generations=15),
        checkpoint=kept, every=1, on_generation=after,
    )
    verdicts = evaluator.verdicts(result.best)
    found = result.best.numpy().tobytes() + result.fitness.numpy().tobytes()
    found += verdicts.numpy().tobytes() + result.state.fitness.numpy().tobytes()
    if boxed:
        assert "not evaluated" in evaluator.notes[0], evaluator.notes
    Path(f"{output}.{rank}").write_bytes(found)

def main():
    mode, folder = sys.argv[1:3]
    with sharded():
        if mode == "all":
            for name in networks:
                for boxed in (False, True):
                    run(name, boxed, f"{folder}/{name}-{boxed}")
        else:
            run("mlp", False, f"{folder}/{mode}", f"{folder}/{mode}.safetensors", mode == "killed")
    threads = [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in name for name in threads), "they may abort the process at its exit"

try:
    main()
except DnnRepairError as error:
    print(error, file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)  # the process group is of no use any more
"""


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "searching.py"
    path.write_text(SCRIPT)
    return path


def launch(script: Path, world: int, folder: Path) -> dict[str, bytes]:
    """Return by name what each process has written."""
    folder.mkdir()
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}")
    command = [sys.executable, *launcher, str(script), "all", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_any_number_of_processes_finds_the_same(script: Path, tmp_path: Path) -> None:
    alone = launch(script, 1, tmp_path / "1")
    assert len(alone) == 4
    for name in ("mlp", "conv"):  # nor does the box change the best, its fitness and verdicts
        boxed, plain = (alone[f"{name}-{choice}.0"][:BEST] for choice in (True, False))
        assert boxed == plain
    for world in (2, 3):
        for name, found in launch(script, world, tmp_path / str(world)).items():
            assert found == alone[f"{Path(name).stem}.0"], (world, name)


def test_a_killed_process_stops_the_others_and_the_search_goes_on(
    script: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    survivor, victim = (
        subprocess.Popen(
            [sys.executable, str(script), "killed", str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**address, RANK=rank, LOCAL_RANK=rank),
        )
        for rank in "01"
    )
    try:
        victim.communicate(timeout=2 * WAIT)
        _, said = survivor.communicate(timeout=WAIT)
    finally:
        for process in (survivor, victim):
            process.kill()
    assert victim.returncode == -9
    assert survivor.returncode == 3, said[-2000:]
    (line,) = [line for line in said.splitlines() if "lost another" in line]
    assert line.startswith("process 0 of 2")
    assert "from its last checkpoint" in line
    assert not (tmp_path / "killed.0").exists()

    def finish(mode: str) -> bytes:
        subprocess.run(
            [sys.executable, str(script), mode, str(tmp_path)], env=environment(), check=True
        )
        return (tmp_path / f"{mode}.0").read_bytes()

    assert (tmp_path / "killed.safetensors").stat().st_size > 0
    (tmp_path / "killed.safetensors").rename(tmp_path / "resumed.safetensors")
    assert finish("resumed") == finish("uninterrupted")
