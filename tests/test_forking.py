"""Forked processes train, whatever was exported before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
START = """
import sys
import torch
from torch import nn
from dnnrepair.forking import forks_train
net, x, y = nn.Linear(3, 2), torch.randn(64, 3), torch.arange(64) % 2
"""
SUBJECT = """
from dnnrepair.subject import subject_of
subject = subject_of(net, (x, y))
"""
FILE = """
from dnnrepair.loading import load
with torch.no_grad():
    load(sys.argv[1])
"""
OTHERS = "torch.export.export(net, (x,))"
END = """
net(x).sum().backward()
print(forks_train())
"""
JOBS = """
from dnnrepair.repairing.ahead import jobs_for
print(jobs_for(subject, subject.samples, 2, None))
"""


def said(*parts: str, file: Path | None = None) -> list[str]:
    """Run parts in a process that has computed no gradient yet."""
    done = subprocess.run(
        [sys.executable, "-c", "".join(parts), str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="autograd has a thread for the GPU"),
]


def test_they_do_after_a_network_was_opened(tmp_path: Path) -> None:
    assert said(START, SUBJECT, END)[0] == "True"
    exported = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(2, 3),))
    torch.export.save(exported, tmp_path / "net.pt2")
    assert said(START, FILE, END, file=tmp_path / "net.pt2")[0] == "True"


def test_where_they_cannot_that_is_said() -> None:
    works, jobs, _ = said(START, OTHERS, SUBJECT, END, JOBS)
    assert works == "False"
    assert jobs.startswith("(1, 'treatments were tried one at a time: in this process, with a GPU")
