"""``dnnrepair bench`` runs a benchmark and judges it by its bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dnnrepair.bench.result import BenchOptions, BenchResult, Figure, as_json
from dnnrepair.cli.bench import BENCHES
from dnnrepair.errors import DataError


class Bench:
    """Stands in for a benchmark's module."""

    def __init__(self, *, met: bool | None) -> None:
        self.met = met
        self.options = BenchOptions()

    def run(self, options: BenchOptions) -> BenchResult:
        self.options = options
        if options.peers:
            message = "no such interpreter"
            raise DataError(message)
        return BenchResult("diagnose", (), (Figure("recall", "at least 1", 0.5, met=self.met),))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bench:
    found = Bench(met=getattr(request, "param", True))
    monkeypatch.setattr("dnnrepair.cli.bench.import_module", lambda _: found)
    return found


@pytest.mark.parametrize(("bench", "code"), [(True, 0), (None, 0), (False, 1)], indirect=["bench"])
@pytest.mark.usefixtures("bench")
def test_a_missed_figure_gives_exit_code_one(dnnrepair: Any, code: int) -> None:
    said = dnnrepair("bench", "diagnose", "--output-format", "json")
    assert said.code == code
    assert json.loads(said.out)["figures"][0]["value"] == 0.5


def test_options_reach_the_benchmark(dnnrepair: Any, bench: Bench, tmp_path: Any) -> None:
    said = dnnrepair("bench", "observe", "--quick", "--data-dir", tmp_path, "--workers", "3")
    assert "| recall" in said.out
    assert bench.options.quick
    assert (bench.options.data_dir, bench.options.workers) == (tmp_path, 3)


@pytest.mark.usefixtures("bench")
def test_a_benchmark_that_cannot_run_gives_exit_code_two(dnnrepair: Any) -> None:
    assert dnnrepair("bench", "diagnose", "--peers").code == 2
    assert dnnrepair("bench", "diagnose", "--data-dir", "/no/such").code == 2


def test_plots_are_written_to_files_of_their_own(
    dnnrepair: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = BenchResult("activations", (), (), plots=("<svg/>", "<svg>2</svg>"))
    monkeypatch.setattr("dnnrepair.bench.activations.run", lambda _: result)
    said = dnnrepair("bench", "activations", "--plot", tmp_path / "a.svg")
    assert said.code == 0
    assert (tmp_path / "a.svg").read_text() == "<svg/>"
    assert (tmp_path / "a-2.svg").read_text() == "<svg>2</svg>"
    assert "plot written to" in said.err
    assert "svg" not in as_json(result)


@pytest.mark.usefixtures("bench")
def test_a_benchmark_without_plots_says_so(dnnrepair: Any, tmp_path: Any) -> None:
    said = dnnrepair("bench", "diagnose", "--plot", tmp_path / "a.svg")
    assert "diagnose draws nothing" in said.err
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize("name", BENCHES)
def test_every_benchmark_is_there(name: str) -> None:
    from importlib import import_module

    assert callable(import_module(f"dnnrepair.bench.{name}").run)
