"""Two processes with gloo: the first watches and reports, nobody waits in vain, all act alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import gc, sys
import torch
import torch.distributed.nn.functional  # later, by an export, it would keep the group
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from dnnrepair import Monitor
from tests.monitor.loops import batches, network

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
model = network()
with torch.no_grad():
    model.get_parameter("0.bias").fill_(-100.0)  # every ReLU of the first layer is dead
parallel = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(parallel.parameters(), 0.1)

def loop(m, steps):
    for x, y in batches(steps, seed=rank):
        m.loss(cross_entropy(parallel(x), y), y).backward()
        optimizer.step()
        optimizer.zero_grad()

options = {"every": 4, "select": ["ACT001"]}
with Monitor(parallel, optimizer, output=f"{folder}/report-{rank}.txt", **options) as m:
    loop(m, 8)
print(len(m.findings), m.step)
with Monitor(parallel, optimizer, on="dead-relu", do="lower-lr", **options) as m:
    loop(m, 4)
print(optimizer.param_groups[0]["lr"])
with Monitor(parallel, optimizer, on="dead-relu", do="stop", **options) as m:
    loop(m, 40)
print(m.step, m.stopped)
distributed.destroy_process_group()
del parallel, model, m
gc.collect()  # or a thread of the group may abort the process at its exit
"""


def test_two_processes(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=400) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    stop = "4 step 4: training was stopped because of ACT001 in 0"
    (first, _), (second, _) = said
    assert first.splitlines()[1:] == second.splitlines()[1:] == ["0.05", stop]
    assert first.splitlines()[0].endswith(" 8")
    assert int(first.split()[0]) > 0
    assert second.splitlines()[0] == "0 8"
    assert "ACT001" in (tmp_path / "report-0.txt").read_text()
    assert not (tmp_path / "report-1.txt").exists()
