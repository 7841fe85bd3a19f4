"""Several processes see a share of the samples each and say what one process says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = ("-m", "dnnrepair", "diagnose", "models:mlp-relu:init", "--output-format", "json")


def diagnose(world: int, folder: Path) -> Any:
    launcher = ("-m", "torch.distributed.run", f"--nproc-per-node={world}", "--no-python")
    output = folder / f"{world}.json"
    command = [sys.executable, *((*launcher, sys.executable) if world > 1 else ()), *COMMAND]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--output", str(output)],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        check=False,
    )
    assert output.exists(), done.stderr[-2000:]
    return json.loads(output.read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return diagnose(1, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("world", [2, 3])
def test_findings_do_not_depend_on_the_number_of_processes(
    world: int, alone: Any, tmp_path: Path
) -> None:
    together = diagnose(world, tmp_path)
    assert together["model"]["samples"] == alone["model"]["samples"]
    assert [f["code"] for f in together["findings"]] == [f["code"] for f in alone["findings"]]
    assert together["checked"] == alone["checked"]
    for one, other in zip(alone["layers"], together["layers"], strict=True):
        assert one["name"] == other["name"]
        assert one["std"] == pytest.approx(other["std"], rel=1e-6)
        assert one["activations"] == other["activations"]  # the sketch is the same, bit for bit
