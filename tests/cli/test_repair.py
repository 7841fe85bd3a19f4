"""``dnnrepair repair``: a network in a file, treated, and read again by plain torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Any]
CODE = """
from torch import nn


def make():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def soft():
    return nn.Sequential(*make(), nn.Softmax(-1))
"""
LOADING = """
import sys, torch
sys.modules["dnnrepair"] = None
from fixed import Net
net = Net()
net.load_state_dict(torch.load("fixed.pt", weights_only=True))
x, y = torch.load("test.pt", weights_only=True)
print(float((net.eval()(x).argmax(1) == y).double().mean()))
"""


@pytest.fixture(scope="module")
def learned() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return a state dict, 800 inputs, and labels that it knows."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(800, 6, generator=rng)
    y = (x @ torch.randn(6, 3, generator=rng)).argmax(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
        optimizer = torch.optim.Adam(net.parameters(), 2e-2)
        for _ in range(200):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        net(x)  # running statistics have arrived
    return {name: value.detach() for name, value in net.state_dict().items()}, x, y


@pytest.fixture
def stale(here: Path, learned: tuple[dict[str, Any], torch.Tensor, torch.Tensor]) -> Path:
    """Write ``net.py``, ``data.npz`` and ``stale.pt``, and return the latter."""
    state, x, y = learned
    (here / "net.py").write_text(CODE)
    np.savez(here / "data.npz", x=x.numpy(), y=y.numpy())
    torch.save((x, y), here / "test.pt")
    mean, variance = state["1.running_mean"] + 1, state["1.running_var"] * 9
    torch.save({**state, "1.running_mean": mean, "1.running_var": variance}, here / "stale.pt")
    torch.save(state, here / "healthy.pt")
    return here / "stale.pt"


def given(model: Path | str, *more: str, arch: str = "net.py:make") -> tuple[str, ...]:
    return (str(model), "--arch", arch, "--data", "data.npz", "--loss", "cross_entropy", *more)


def test_only_numbers_change_and_the_form_stays(dnnrepair: Run, stale: Path, here: Path) -> None:
    before = stale.read_bytes()
    said = dnnrepair("repair", *given(stale, "--output", "fixed.pt"))
    assert said.code == 0, said.err
    assert "✔ 1 treatment kept: accuracy" in said.out
    assert "BN002" in said.out
    assert "re-estimate statistics" in said.out
    assert "state dict written to fixed.pt" in said.err
    assert stale.read_bytes() == before
    assert not (here / "fixed.py").exists()
    fixed, old = (torch.load(p, weights_only=True) for p in (here / "fixed.pt", stale))
    assert torch.equal(fixed["0.weight"], old["0.weight"])
    assert not torch.equal(fixed["1.running_var"], old["1.running_var"])
    again = dnnrepair("diagnose", *given(here / "fixed.pt"))
    assert "BN002" not in again.out.partition("Skipped")[0]


def test_what_changed_in_structure_is_loaded_by_plain_torch(dnnrepair: Run, stale: Path) -> None:
    here = stale.parent
    more = ("--output", "fixed.pt", "--report", "report.json", "--random-baseline")
    said = dnnrepair("repair", *given(here / "healthy.pt", *more, arch="net.py:soft"))
    assert said.code == 0, said.err
    report = json.loads((here / "report.json").read_text())
    assert report["kind"] == "repair"
    assert report["files"] == ["fixed.pt", "fixed.py"]
    assert {found["code"] for found in report["found"]} >= {"OUT001"}
    assert len(report["baseline"]["attempts"]) == len(report["course"]["attempts"])
    done = subprocess.run(
        [sys.executable, "-c", LOADING], cwd=here, check=True, capture_output=True, text=True
    )
    assert float(done.stdout) > 0.9
    _check_schema(dnnrepair, report)


def _check_schema(dnnrepair: Run, report: dict[str, Any]) -> None:
    """Check names against the published schema, all the way down."""
    schema = json.loads(dnnrepair("schema", "--kind", "repair").out)

    def check(value: Any, described: dict[str, Any]) -> None:
        if "$ref" in described:
            described = schema["$defs"][described["$ref"].rpartition("/")[2]]
        for choice in described.get("anyOf", ()):
            if isinstance(value, dict) and "$ref" in choice:
                check(value, choice)
        if isinstance(value, dict) and "properties" in described:
            assert set(value) == set(described["required"])
            for name, inner in value.items():
                check(inner, described["properties"][name])
        if isinstance(value, list) and "items" in described:
            for inner in value:
                check(inner, described["items"])

    check(report, schema)


def test_nothing_that_helps_writes_nothing(dnnrepair: Run, stale: Path, here: Path) -> None:
    said = dnnrepair("repair", *given(stale, "--output", "fixed.pt", "--seconds", "1e-9"))
    assert said.code == 4
    assert "No treatment was kept, and nothing was written" in said.out
    assert "the budget of 1e-09 s is spent" in " ".join(said.out.split())
    assert not (here / "fixed.pt").exists()


def test_a_healthy_network_needs_nothing(dnnrepair: Run, stale: Path) -> None:
    said = dnnrepair("repair", *given(stale.with_name("healthy.pt"), "--output", "fixed.pt"))
    assert said.code == 0
    assert said.err.startswith("nothing to do: no error and no warning in")
    assert not said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stale.pt", "--arch", "net.py:make", "--output", "f.pt"), "nothing is kept on them"),
        (("stale.pt", "--output", "f.pt"), "give labeled data with --data"),
        (given("stale.pt"), "name the file to write with --output, or give --dry-run"),
        (given("stale.pt", "--output", "stale.pt"), "will not write stale.pt: it is an input"),
        (given("stale.pt", "--output", "data.npz"), "will not write data.npz: it is an input"),
        (given("stale.pt", "--output", "f.pt", "--attempts", "0"), "x>=1"),
        (given("stale.pt", "--output", "f.pt", "--jobs", "0"), "x>=1"),
        (given("stale.pt", "--output", "f.pt", "--train", "teach"), "--train teach has no colon;"),
        (given("stale.pt", "--output", "f.pt", "--train", "net.py:teach"), "raised AttributeError"),
        (given("stale.pt", "--output", "f.pt", "--train", "no.py:teach"), "there is no file no.py"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    arguments: tuple[str, ...], words: str, dnnrepair: Run, stale: Path
) -> None:
    assert stale.exists()
    said = dnnrepair("repair", *arguments)
    assert said.code == 2
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out


TEACH = """
import torch
from torch.nn import functional as F

NUMBER = 3


def teach(module, train, valid, generator):
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(module(train.inputs[0]), train.targets).backward()
        optimizer.step()
"""


def test_a_function_of_the_users_trains(dnnrepair: Run, stale: Path, here: Path) -> None:
    (here / "mine.py").write_text(TEACH)
    more = ("--train", "mine.py:teach", "--output", "fixed.pt", "--ignore", "BN")
    said = dnnrepair("repair", *given(here / "healthy.pt", *more, arch="net.py:soft"))
    assert said.code == 0, said.err
    assert "trained by mine.py:teach: teach is done" in " ".join(said.out.split())
    assert (here / "fixed.py").exists()
    said = dnnrepair("repair", *given(stale, "--train", "mine.py:NUMBER", "--dry-run"))
    assert said.code == 2
    assert "--train mine.py:NUMBER is int, which cannot be called" in said.err


def test_a_killed_run_goes_on_where_it_was(dnnrepair: Run, stale: Path, here: Path) -> None:
    command = ("repair", *given(here / "healthy.pt", "--output", "fixed.pt", arch="net.py:soft"))
    child = os.fork()
    if not child:
        from dnnrepair.repairing import teaching

        teaching.Teacher._taught = lambda *_, **__: os.kill(os.getpid(), 9)  # type: ignore[assignment, method-assign]
        try:
            dnnrepair(*command)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert stale.exists()
    assert (here / "fixed.pt.trainings").is_dir()
    assert not (here / "fixed.pt").exists()
    said = dnnrepair(*command)
    assert said.code == 0, said.err
    assert (here / "fixed.pt").exists()
    assert not (here / "fixed.pt.trainings").exists()


def test_too_few_samples_say_nothing_and_that_is_code_3(
    dnnrepair: Run, stale: Path, here: Path
) -> None:
    assert stale.exists()
    with np.load(here / "data.npz") as held:
        x, y = held["x"], held["y"]
    np.savez(here / "data.npz", x=x[:120], y=y[:120])
    said = dnnrepair("repair", *given(here / "healthy.pt", "--output", "f.pt", "--select", "NUM"))
    assert said.code == 3
    assert said.err.startswith("inconclusive: no error and no warning in")
    assert "which is no proof of health: 96 samples observed" in said.err
    np.savez(here / "data.npz", x=x[:12], y=y[:12])
    said = dnnrepair("repair", *given(here / "healthy.pt", "--output", "f.pt"))
    assert said.code == 3
    assert "too few to train, choose and judge" in said.err
    assert not (here / "f.pt").exists()


def test_what_a_project_sets_for_diagnose_does_not_stop_a_repair(
    dnnrepair: Run, stale: Path, here: Path
) -> None:
    text = '[tool.dnnrepair]\nbaseline = "old.json"\nfail-on = "warning"\nattempts = 1\n'
    (here / "pyproject.toml").write_text(text)
    said = dnnrepair("repair", *given(stale, "--output", "fixed.pt"))
    assert said.code == 0, said.err
    (here / "pyproject.toml").write_text('[tool.dnnrepair]\nbassline = "old.json"\n')
    said = dnnrepair("repair", *given(stale, "--output", "other.pt"))
    assert said.code == 2
    assert "has no key 'bassline'; did you mean 'baseline'?" in said.err


def test_a_reference_network_is_treated_on_what_trained_it(
    dnnrepair: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = ("--output", "fixed.pt", "--output-format", "json", "--attempts", "1")
    said = dnnrepair("repair", "models:mlp-relu+dead-units", *named)
    assert said.code == 0, said.err
    parts = {part["name"]: part["samples"] for part in json.loads(said.out)["parts"]}
    assert parts == {"search": 899, "selection": 299, "held-out": 599}
    raw = dnnrepair("repair", "models:mlp-relu+raw-inputs", *named[2:], "--dry-run")
    parts = {part["name"]: part["samples"] for part in json.loads(raw.out)["parts"]}
    assert sum(parts.values()) == 599, "what trained it is not fed as it now is"
