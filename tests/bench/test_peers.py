"""The comparison with other tools, against tools made up for the test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dnnrepair.bench.cases import FAULT, HEALTHY, LOOKALIKE, Case, Outcome
from dnnrepair.bench.peer_rules import COVERED
from dnnrepair.bench.peers import PeerCase, PeerOutcome, PeerTable, compare, our_row, run_peers
from dnnrepair.bench.result import BenchOptions
from dnnrepair.errors import SettingError
from dnnrepair.finding import Severity, rules

# calls a unit dead if its bias is below -1, dies on a bias of 7, fails on a bias of 9
FAKE = """
import os
def check_dead_neurons(model, x):
    print("noise that must not reach the answer")
    os.write(1, b"more noise\\n")
    bias = model[0].bias
    if (bias == 7).any():
        os._exit(3)
    if (bias == 9).any():
        raise RuntimeError("no ninths")
    return {"0": {"dead_pct": 100 * (bias < -1).float().mean().item()}}
def check_gradients(model):
    return {n: {"status": "OK" if p.grad.abs().max() > 0 else "VANISH"}
            for n, p in model.named_parameters()}
"""


@pytest.fixture
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchdiag.py").write_text(FAKE)
    meta = tmp_path / "torchdiag-9.9.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: torchdiag\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def case(name: str, kind: str, bias: float, codes: str = "") -> PeerCase:
    first = nn.Linear(4, 3)
    nn.init.constant_(first.bias, bias)
    module = nn.Sequential(first, nn.ReLU(), nn.Linear(3, 2))
    return PeerCase(
        name=name,
        kind=kind,
        module=module,
        inputs=(torch.rand(8, 4),),
        targets=torch.tensor([0, 1] * 4),
        loss="cross_entropy",
        codes=frozenset(codes.split()),
    )


@pytest.mark.usefixtures("_tool")
def test_alarms_failures_and_missing_tools_are_told_apart() -> None:
    cases = [
        case("fine", HEALTHY, 1.0),
        case("crash", HEALTHY, 7.0),
        case("dead", FAULT, -100.0, "ACT001"),
        case("raises", FAULT, 9.0, "ACT001"),
        case("odd", LOOKALIKE, -100.0),
        case("other", FAULT, -100.0, "BN001"),
    ]
    found = run_peers(cases, Path(sys.executable))
    assert found.versions == {"torchdiag": "9.9"}
    assert set(found.missing) == set(COVERED) - {"torchdiag"}
    said = {o.case: o for o in found.outcomes}
    assert said["fine"].rules == frozenset()
    assert said["crash"].error == "the process died"
    assert said["raises"].error == "RuntimeError: no ninths"
    assert said["dead"].rules == {"dead_neurons", "gradient_vanish"}
    rates = [(r.hits, r.tries) for r in found.rates("torchdiag")]
    assert rates == [(1, 2), (2, 3), (0, 2), (1, 1), (2, 6)]
    rows = {row[0]: row for row in found.table().rows}
    assert rows["torchdiag"][2] == "1/2 (50.0 %)"
    assert "not installed (ModuleNotFoundError" in rows["torch-audit"][1]


def test_a_fault_the_tool_has_no_rule_for_is_not_held_against_it() -> None:
    outcomes = tuple(
        PeerOutcome(
            tool="torchdiag",
            kind=FAULT,
            case=code,
            codes=frozenset({code}),
            rules=frozenset({"another rule"}),
        )
        for code in ("BN001", "GRD001")
    )
    recall, alarms, *_ = PeerTable(versions={}, missing={}, outcomes=outcomes).rates("torchdiag")
    assert (recall.hits, recall.tries) == (0, 1)
    assert (alarms.hits, alarms.tries) == (2, 2)


def test_the_codes_ascribed_to_other_tools_exist() -> None:
    used = {code for by_rule in COVERED.values() for codes in by_rule.values() for code in codes}
    assert used <= set(rules)


def test_an_interpreter_that_cannot_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="nowhere"):
        run_peers([], tmp_path / "nowhere")


def test_an_interpreter_without_torch_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SettingError, match="needs torch"):
        run_peers([], python)


def test_without_an_interpreter_the_comparison_says_what_to_give() -> None:
    with pytest.raises(SettingError, match="--peers-python"):
        compare(BenchOptions(peers=True), ("mlp-relu",), (0,))


def test_our_own_row_counts_from_a_warning_upwards() -> None:
    def outcome(kind: str, severity: Severity, codes: str = "") -> Outcome:
        held = Case(
            network="cnn",
            seed=0,
            change="",
            spec="cnn",
            kind=kind,
            codes=frozenset(codes.split()),
        )
        return Outcome(case=held, roots=(("ACT001", severity),))

    row = our_row(
        [
            outcome(FAULT, Severity.WARNING, "ACT001"),
            outcome(FAULT, Severity.NOTE, "ACT001"),
            outcome(FAULT, Severity.ERROR, "BN001"),
            outcome(HEALTHY, Severity.NOTE),
            outcome(LOOKALIKE, Severity.WARNING),
        ]
    )
    assert [cell.partition(" ")[0] for cell in row[2:]] == ["1/3", "2/3", "0/1", "1/1", "0/5"]
