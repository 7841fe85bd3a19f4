"""``dnnrepair diagnose`` on files as users have them, end to end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from dnnrepair.cli.options import LOSSES
from dnnrepair.loss import LOSSES as KNOWN_LOSSES

MAKE = ("--arch", "net.py:make")


def codes(text: str) -> set[str]:
    return {finding["code"] for finding in json.loads(text)["findings"]}


def test_a_healthy_network_is_clean(dnnrepair: Any, network: Path, data: Path) -> None:
    said = dnnrepair("diagnose", network, *MAKE, "--data", data)
    assert said.code == 0, said
    assert said.err == ""
    assert "No fault was found" in said.out


def test_findings_give_exit_code_one(dnnrepair: Any, dead: Path, data: Path) -> None:
    said = dnnrepair("diagnose", dead, *MAKE, "--data", data, "--output-format", "json")
    assert said.code == 1
    assert "ACT001" in codes(said.out)


def test_too_little_data_is_inconclusive(dnnrepair: Any, network: Path, few: Path) -> None:
    said = dnnrepair("diagnose", network, *MAKE, "--data", few)
    assert said.code == 3, said


def test_the_same_command_gives_the_same_bytes(dnnrepair: Any, dead: Path, data: Path) -> None:
    command = ("diagnose", dead, *MAKE, "--data", data, "--output-format", "json", "--seed", "7")
    assert dnnrepair(*command).out == dnnrepair(*command).out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "never"], 0),
        (["--exit-zero"], 0),
        (["--fail-on", "note"], 1),
        (["--ignore", "ACT,INI,OUT,GRD"], 0),
        (["--ignore", "dead-relu", "--select", "ACT001,BN"], 0),
        (["--select", "ACT", "--set", "ACT001.error_share=1"], 1),
    ],
)
def test_options_decide_what_fails(
    dnnrepair: Any, dead: Path, data: Path, options: list[str], code: int
) -> None:
    said = dnnrepair("diagnose", dead, *MAKE, "--data", data, *options)
    assert said.code == code, said


def test_limits_that_were_changed_are_reported(dnnrepair: Any, dead: Path, data: Path) -> None:
    change = ("--set", "dead-relu.warn_share=0.75", "--output-format", "json")
    said = dnnrepair("diagnose", dead, *MAKE, "--data", data, *change)
    assert "ACT001.warn_share = 0.75" in json.loads(said.out)["settings"]


def test_a_baseline_leaves_only_what_is_new(
    dnnrepair: Any, here: Path, network: Path, dead: Path, data: Path
) -> None:
    common = (*MAKE, "--data", data, "--fail-on", "note")
    dnnrepair("diagnose", dead, *common, "--output", "old.json")
    again = dnnrepair("diagnose", dead, *common, "--baseline", "old.json", "--output", "new.json")
    assert again.code == 0, again
    new = json.loads((here / "new.json").read_text())
    assert new["findings"] == []
    assert new["suppressed"] > 0
    dnnrepair("diagnose", network, *common, "--output", "clean.json")
    fresh = dnnrepair("diagnose", dead, *common, "--baseline", "clean.json")
    assert fresh.code == 1


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 99}', "[1]", "\x00"])
def test_a_bad_baseline_is_refused(dnnrepair: Any, network: Path, here: Path, text: str) -> None:
    (here / "old.json").write_text(text)
    said = dnnrepair("diagnose", network, "--baseline", "old.json")
    assert said.code == 2
    assert "old.json" in said.err


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("r.html", "<!doctype html"),
        ("r.json", "{"),
        ("r.sarif", "{"),
        ("r.md", "#"),
        ("r.txt", ""),
        ("r", ""),
    ],
)
def test_the_suffix_names_the_format(
    dnnrepair: Any, dead: Path, data: Path, here: Path, name: str, beginning: str
) -> None:
    said = dnnrepair(
        "diagnose", dead, *MAKE, "--data", data, "--select", "ACT001", "--output", name
    )
    assert (said.code, said.out) == (1, "")
    assert said.err == f"report written to {name}\n"
    text = (here / name).read_text()
    assert text.lower().startswith(beginning)
    assert "ACT001" in text
    assert sorted(p.name for p in here.iterdir() if p.name.startswith(".")) == []


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.iterdir() if p.is_file())
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["missing.pt"], "missing.pt"),
        (["model.pt", "--data", "missing.npz"], "missing.npz"),
        (["model.pt", "--output", "model.pt"], "it is an input"),
        (["model.pt", "--output", "./model.pt"], "it is an input"),
        (["model.pt", "--data", "data.npz:test", "--output", "data.npz"], "it is an input"),
        (["model.pt", "--output", "no/such/folder/r.html"], "no such file"),
        (["model.pt", "--output", "."], "it is a folder"),
        (["model.pt", "--output", "model.pt/r.html"], "cannot write"),
        (["model.pt", "--select", "ACT01"], "did you mean 'ACT001'?"),
        (["model.pt", "--ignore", "ded-relu"], "did you mean 'dead-relu'?"),
        (["model.pt", "--select", "ACT", "--ignore", "ACT"], "no rule is left"),
        (["model.pt", "--set", "ACT001.wran_share=1"], "did you mean 'warn_share'?"),
        (["model.pt", "--set", "ACT001.warn_share=2"], "numbers from 0 to 1"),
        (["model.pt", "--set", "ACT001.warn_share=half"], "takes a number"),
        (["model.pt", "--set", "ACT001"], "CODE.field=value"),
        (["model.pt", "--device", "cuda:99", *MAKE], "cuda:99"),
        (["model.pt", "--arch", "net.py:mak"], "mak"),
        (["model.pt", "--arch", "net.py:broken"], "no such weights"),
        (["model.pt", "--arch", "net.py:leaving"], "exit"),
        (["model.pt", *MAKE, "--probe", "gaussian"], "--input-shape"),
    ],
)
@pytest.mark.usefixtures("network", "data")
def test_bad_input_is_one_line_and_nothing_is_written(
    dnnrepair: Any, here: Path, options: list[str], words: str
) -> None:
    before = digests(here)
    said = dnnrepair("diagnose", *options)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err.lower() or words in said.err
    assert digests(here) == before


def test_without_data_the_rest_is_listed_as_skipped(dnnrepair: Any, network: Path) -> None:
    said = dnnrepair("diagnose", network, "--output-format", "json")
    assert said.code == 0
    assert "ACT001" in {skip["code"] for skip in json.loads(said.out)["skipped"]}


def test_what_the_user_code_prints_is_no_report(dnnrepair: Any, network: Path, data: Path) -> None:
    command = ("diagnose", network, "--arch", "net.py:chatty", "--data", data)
    said = dnnrepair(*command, "--output-format", "json")
    json.loads(said.out)
    assert "this is no report" in said.err


@pytest.mark.usefixtures("data")
def test_settings_come_from_project_then_environment_then_flags(
    dnnrepair: Any, dead: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("diagnose", dead, "--select", "ACT001")
    (here / "pyproject.toml").write_text(
        "[tool.dnnrepair]\n"
        'arch = "net.py:make"\n'
        'data = "data.npz"\n'
        'output-format = "json"\n'
        'fail-on = "never"\n'
        "[tool.dnnrepair.rules.ACT001]\n"
        "warn_share = 0.6\n"
    )
    project = dnnrepair(*command)
    assert project.code == 0
    assert json.loads(project.out)["settings"] == ["ACT001.warn_share = 0.6"]
    monkeypatch.setenv("DNNREPAIR_FAIL_ON", "error")
    assert dnnrepair(*command).code == 1
    flags = dnnrepair(*command, "--fail-on", "never", "--set", "ACT001.warn_share=0.7")
    assert flags.code == 0
    assert json.loads(flags.out)["settings"] == ["ACT001.warn_share = 0.7"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('fial-on = "error"', "did you mean 'fail-on'?"),
        ('fail-on = "fatal"', "fatal"),
        ("exit-zero = 3", "takes true or false"),
        ("trust-pickle = true", "has no key 'trust-pickle'"),
        ("seed = {}", "takes text, a number"),
        ("rules = 3", "must be a table"),
        ("[tool.dnnrepair.rules.ACT01]\nx = 1", "did you mean 'ACT001'?"),
        ("[tool.dnnrepair.rules.ACT001]\nwarn_shar = 1", "did you mean 'warn_share'?"),
        ('[tool.dnnrepair.rules.ACT001]\nwarn_share = "x"', "takes a number"),
        ("nonsense", "pyproject.toml"),
    ],
)
def test_bad_project_settings_are_one_line(
    dnnrepair: Any, network: Path, here: Path, section: str, words: str
) -> None:
    (here / "pyproject.toml").write_text(f"[tool.dnnrepair]\n{section}\n")
    said = dnnrepair("diagnose", network)
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert words in said.err


def test_a_project_may_list_rules(dnnrepair: Any, dead: Path, data: Path, here: Path) -> None:
    (here / "pyproject.toml").write_text('[tool.dnnrepair]\nselect = ["ACT001", "BN"]\n')
    said = dnnrepair("diagnose", dead, *MAKE, "--data", data, "--output-format", "json")
    assert codes(said.out) == {"ACT001"}


def test_the_losses_offered_are_those_known() -> None:
    assert LOSSES == KNOWN_LOSSES


SLOW = """
from pathlib import Path
from time import sleep

import torch
from torch.utils.data import DataLoader, IterableDataset


class Slow(IterableDataset):
    def __iter__(self):
        for sample in range(10_000):
            if sample == 2_000:
                Path("half").touch()
                sleep(60)
            yield torch.randn(8), sample % 4


def data():
    return DataLoader(Slow(), batch_size=100)
"""


@pytest.mark.parametrize("output", ["", "mine.json"])
def test_an_interrupt_saves_and_names_what_is_known(dead: Path, here: Path, output: str) -> None:
    (here / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "dnnrepair", "diagnose", dead.name, *MAKE]
    command += ["--data", "slow:data", "--output-format", "json"]
    command += ["--output", output] if output else []
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    )
    limit = monotonic() + 120
    while not (here / "half").exists() and process.poll() is None and monotonic() < limit:
        sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    saved = here / (output or "dnnrepair-report-interrupted.json")
    report = json.loads(saved.read_text())
    assert report["interrupted"]
    assert report["model"]["samples"] >= 1_000
    assert saved.name in err
    assert bool(out) is not bool(output)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
