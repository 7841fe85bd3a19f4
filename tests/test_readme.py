"""What the README says is so."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair import diagnose_module, render_report
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.main import run
from dnnrepair.cli.readme import updated
from dnnrepair.config import read_config
from dnnrepair.finding import Severity, all_rules, rules
from tests.debiasing.conftest import short

__all__ = ["short"]

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def block(language: str, word: str) -> str:
    (found,) = [text for text in blocks(language) if word in text]
    return found


def test_generated_parts_are_up_to_date() -> None:
    assert updated(TEXT) == TEXT, "run python -m dnnrepair.cli.readme"


def test_generated_parts_are_there() -> None:
    assert all(f"| {code} |" in TEXT for code in all_rules())
    assert "Usage: dnnrepair diagnose [OPTIONS] MODEL" in TEXT


def test_ci_runs_the_test_command_as_it_stands_here() -> None:
    whole, device = block("sh", "pytest").strip().splitlines()
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line.strip() for line in script if "pytest" in line] == [f"{whole} || exit", device]
    for check in ("ruff check", "ruff format --check", "mypy", "pyright"):
        assert check in script
        assert f"`{check}`" in TEXT


def test_settings_are_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(block("toml", "tool.dnnrepair"))
    config = read_config(tmp_path, ("arch", "data", "ignore", "fail-on"))
    assert set(tomllib.loads(block("toml", "warn_share"))["tool"]) == {"dnnrepair"}
    assert config.rules == {"ACT001": {"warn_share": 0.6}}
    assert set(config.options["ignore"]) <= set(rules)


def network() -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = nn.Linear(8, 16)
    with torch.no_grad():
        hidden.weight.copy_(torch.randn(16, 8, generator=generator) / 2)
    return nn.Sequential(hidden, nn.ReLU(), nn.Linear(16, 3)), torch.randn(
        600, 8, generator=generator
    )


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    model, x = network()
    with torch.no_grad():
        model.get_submodule("0").get_parameter("bias").fill_(-1000.0)  # every ReLU is dead
    y = torch.arange(len(x)) % 3
    scope: dict[str, Any] = {"model": model, "x": x, "y": y}
    exec(block("python", "render_report(report"), scope)
    assert "ACT001 0 16 of 16" in capsys.readouterr().out
    assert scope["html"] == render_report(scope["report"], "html")


def test_the_monitor_example_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, x = network()
    with torch.no_grad():
        model.get_submodule("0").get_parameter("bias").fill_(-1000.0)  # every ReLU is dead
    y = torch.arange(len(x)) % 3
    loader = [(x[:128], y[:128])] * 100
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    exec(
        block("python", "dnnrepair.Monitor"),
        {"model": model, "optimizer": optimizer, "loader": loader},
    )
    assert "ACT001 0 16 of 16" in capsys.readouterr().out
    assert "ACT001" in (tmp_path / "training.html").read_text(encoding="utf-8")


def test_the_search_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the last layer's weights
        model, x = network()
    with torch.no_grad():
        y = model(x).argmax(1)
        model.get_submodule("2").get_parameter("weight")[:, :4] *= -1  # what the search can undo
    scope: dict[str, Any] = {"model": model.eval(), "x": x, "y": y}
    exec(block("python", "Rand1Bin(candidates"), scope)
    said = re.search(r"fixed (\d+), broken (\d+)", capsys.readouterr().out)
    assert said
    assert int(said[1]) > 2 * int(said[2])
    assert scope["found"].fitness > scope["evaluator"](scope["present"][None, None])


def test_the_activation_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    z, layer = torch.randn(1000, generator=generator), nn.Linear(400, 300)
    exec(block("python", "fit(find("), {"z": z, "layer": layer, "generator": generator})
    slope, error = capsys.readouterr().out.split()
    assert float(slope) == 0
    assert 0 < float(error) < 0.05
    assert float(layer.weight.detach().std()) == pytest.approx(1.534 / 20, rel=0.02)


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the README's first command about fairness makes."""
    command, *_ = shlex.split(block("sh", "demo --census").partition("&&")[0], comments=True)[1:]
    folder = tmp_path_factory.mktemp("readme") / "people"
    assert run([command, "--census", str(folder)]) == 0
    return folder


def asked(word: str) -> list[str]:
    return shlex.split(block("sh", word).replace("\\\n", " "))[1:]


def test_the_audit_of_predictions_prints_what_is_shown(
    census: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(census)
    assert run(asked("audit --predictions")) == Exit.FINDINGS
    said = _without_numbers(capsys.readouterr().out)
    for word in ("Disparate impact", "enough rows"):
        assert _without_numbers(block("text", word)) in said


def test_the_audit_of_the_network_writes_its_page(
    census: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(census)
    assert run(asked("audit model.pt2")) == Exit.FINDINGS
    page = (census / "audit.html").read_text(encoding="utf-8")
    assert "Groups by sex and region" in page
    assert "Individuals" in page


@pytest.mark.usefixtures("short")
def test_debias_prints_what_is_shown(
    census: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(census)
    assert run([*asked("dnnrepair debias"), "--no-baselines"]) in (0, Exit.INCONCLUSIVE)
    said, shown = capsys.readouterr().out, block("text", "Before and after")
    marks = str.maketrans("", "", "✔✖·+<")  # they depend on the numbers
    plain, wanted = (_without_numbers(text.translate(marks)) for text in (said, shown))
    assert wanted in plain
    assert (census / "model.patch").is_file()


def test_a_rule_in_40_lines_finds_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    source = block("python", '@rule("UNI001")')
    assert len([line for line in source.splitlines() if line]) <= 40
    model, x = network()
    list(rules)  # all others are filed before, and only they stay
    monkeypatch.setattr(rules, "_entries", dict(rules._entries))
    example = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", example)
    exec(source, vars(example))
    assert not diagnose_module(model, x, select=["UNI001"]).findings
    with torch.no_grad():
        model.get_submodule("0").get_parameter("weight")[5] *= 1000
    (finding,) = diagnose_module(model, x, select=["loud-unit"]).findings
    assert (finding.code, finding.severity, finding.layer) == ("UNI001", Severity.WARNING, "0")
    assert finding.units == (5,)


@pytest.mark.usefixtures("here")
def test_the_repair_says_what_is_printed_here(capsys: pytest.CaptureFixture[str]) -> None:
    _, *arguments = block("sh", "dnnrepair repair models:").split()
    assert run(arguments) == 0
    said, shown = capsys.readouterr().out, block("text", "1 treatment kept")
    assert _without_numbers(shown) in _without_numbers(said)


def test_the_recovery_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    model, x = network()
    scope: dict[str, Any] = {"model": model, "x": x, "y": (x[:, 0] > 0).long()}
    exec(block("python", "Recipe(epochs=10"), scope)
    assert re.search(r"epoch \d+ was best", capsys.readouterr().out)
    recovered = scope["recovered"]
    assert recovered.kept.valid_loss < recovered.history[0].valid_loss


def test_swap_says_what_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, *arguments = block("sh", "dnnrepair swap models:").split()
    assert run(arguments) == 0
    said, shown = capsys.readouterr().out, block("text", "revive: idle units")
    assert _without_numbers(said) == _without_numbers(shown)


def _without_numbers(text: str) -> str:
    """Return text on one line, without what a training gives: it differs among machines."""
    digestless = re.sub(r"\b[0-9a-f]{16}\b", "0", " ".join(text.split()))
    return re.sub(r"[\d.e-]*\d[\d.e-]*", "0", digestless)


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
