"""``dnnrepair swap`` from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
import torch
from torch import nn

from dnnrepair.bits import identical
from dnnrepair.formats.stored import schema
from dnnrepair.loading.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., Any]


@pytest.fixture
def asked(network: Path, data: Path) -> tuple[Any, ...]:
    """Return the arguments that name the network and its data."""
    return (network, "--arch", "net:make", "--data", data)


def test_an_exact_swap_writes_weights_and_code(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path
) -> None:
    before = (here / "model.pt").read_bytes()
    said = dnnrepair("swap", *asked, "--activation", "relu=prelu", "--output", "new.pt")
    assert said.code == 0, said.err
    assert "✔ 1 change, and no output changed." in said.out
    assert "activation: relu became prelu after 0 (with slope 0)." in said.out
    assert "300 of 300 answers are the same" in " ".join(said.out.split())
    assert "from new import Net; net = Net()" in said.out
    assert "new.pt" in said.err
    assert (here / "model.pt").read_bytes() == before
    state = torch.load(here / "new.pt", weights_only=True)
    assert set(state) == {"0.weight", "0.bias", "2.weight", "2.bias", "layer_0_prelu.weight"}
    scope: dict[str, Any] = {}
    exec((here / "new.py").read_text(), scope)
    net = scope["Net"]()
    net.load_state_dict(state)
    x = torch.from_numpy(np.load(here / "data.npz")["x"])
    with torch.no_grad():
        hidden = (x @ state["0.weight"].T + state["0.bias"]).relu()
        expected = hidden @ state["2.weight"].T + state["2.bias"]
        assert torch.allclose(net(x), expected, atol=1e-6)
    again = dnnrepair(
        *("diagnose", "new.pt", "--arch", "new:Net", "--data", "data.npz", "--exit-zero")
    )
    assert again.code == 0, again.err


def test_numbers_alone_go_into_the_form_of_the_model(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path
) -> None:
    said = dnnrepair("swap", *asked, "--init", "he:0", "--output", "new.pt")
    assert said.code == 0, said.err
    assert "state dict written to new.pt" in said.err
    assert not (here / "new.py").exists()
    old, new = (torch.load(here / name, weights_only=True) for name in ("model.pt", "new.pt"))
    assert list(old) == list(new)
    assert not identical(old["0.weight"], new["0.weight"])
    assert identical(old["2.weight"], new["2.weight"])
    dnnrepair("swap", *asked, "--init", "he:0", "--output", "same.pt")
    assert (here / "same.pt").read_bytes() == (here / "new.pt").read_bytes()


@pytest.mark.parametrize("form", ["script", "pt2"])
def test_other_forms_stay_what_they_are_or_become_pt2(
    dnnrepair: Run, network: Path, data: Path, here: Path, form: str
) -> None:
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    module.load_state_dict(torch.load(network, weights_only=True))
    x = torch.randn(4, 8)
    if form == "script":
        with quiet():  # torch wants nobody to do this any longer
            torch.jit.save(torch.jit.trace(module, x), here / "made.pt")
    else:
        shapes = ({0: torch.export.Dim.DYNAMIC},)
        torch.export.save(torch.export.export(module, (x,), dynamic_shapes=shapes), "made.pt2")
    made = "made.pt" if form == "script" else "made.pt2"
    arguments = ("swap", made, "--data", data)
    said = dnnrepair(*arguments, "--temperature", "2", "--output", f"cool-{made}")
    assert said.code == 0, said.err
    read: Any = torch.jit.load if form == "script" else torch.export.load
    with quiet():
        cool = read(here / f"cool-{made}")
    cool = cool if form == "script" else cool.module()
    with torch.no_grad():
        assert torch.allclose(cool(x), module(x) / 2, atol=1e-6)
    said = dnnrepair(*arguments, "--activation", "prelu", "--output", "new.pt2")
    assert said.code == 0, said.err
    with torch.no_grad():
        found = torch.export.load(here / "new.pt2").module()(x)
        assert torch.allclose(found, module(x), atol=1e-6)


def test_a_rule_chooses_units_and_the_trial_writes_nothing(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path
) -> None:
    state = torch.load(here / "model.pt", weights_only=True)
    state["0.bias"][:12] = -1000.0
    torch.save(state, here / "model.pt")
    said = dnnrepair("swap", *asked, "--revive", "ACT001", "--dry-run")
    assert said.code == 0, said.err
    assert "idle units of 0 re-drawn" in said.out
    assert "Nothing was written." in said.out
    said = dnnrepair("swap", *asked, "--prune", "ACT001", "--output", "small.pt")
    assert torch.load(here / "small.pt", weights_only=True)["0.weight"].shape == (4, 8)


def test_the_report_has_every_format(dnnrepair: Run, asked: tuple[Any, ...], here: Path) -> None:
    arguments = ("swap", *asked, "--norm", "batch:0", "--temperature", "auto", "--dry-run")
    said = dnnrepair(*arguments, "--output-format", "json")
    stored = json.loads(said.out)
    jsonschema.validate(stored, schema("swap"))
    assert stored["kind"] == "swap"
    assert [swap["promise"] for swap in stored["swaps"]] == ["exact", "changes"]
    assert stored["overall"]["samples"] == 300
    assert dnnrepair(*arguments, "--report", "page.html").code == 0
    assert "<h1>" in (here / "page.html").read_text()
    assert dnnrepair(*arguments, "--report", "page.md").code == 0
    assert "| operation |" in (here / "page.md").read_text()
    text = dnnrepair(*arguments).out
    assert max(map(len, text.splitlines())) <= 80
    assert json.loads(dnnrepair("schema", "--kind", "swap").out) == schema("swap")


BAD: list[tuple[tuple[str, ...], str]] = [
    (("--activation", "relu=prelo", "--dry-run"), "did you mean 'prelu'"),
    (("--activation", "relu=prelu:9", "--dry-run"), "no layer matches '9'; near ones: 0"),
    (("--activation", "relu=polynomial,degree=0:0", "--dry-run"), "numbers from 1 to 63, not 0"),
    (("--activation", "relu=leaky_relu,slope=2", "--dry-run"), "leaky_relu has no setting 'slope'"),
    (("--activation", "relu=tanh:0", "--limit", "9", "--dry-run"), "no tanh tends to relu"),
    (("--activation", "relu=silu", "--limit", "0", "--dry-run"), "finite numbers above 0, not 0"),
    (("--plain", "--limit", "9", "--dry-run"), "--plain and --limit exclude each other"),
    (("--fold-input", "--dry-run"), "give --mean, --std or --scale with --fold-input"),
    (("--fold-input", "--mean", "1,2", "--dry-run"), "2 numbers for mean or std, but the data"),
    (("--norm", "batch:0"), "name the file to write with --output, or give --dry-run"),
    (("--dry-run",), "nothing is to be changed; ask for something: --remove-softmax"),
    (("--plain", "--blend", "--dry-run"), "--plain and --blend exclude each other"),
    (("--norm", "layer:0", "--output", "model.pt"), "will not write model.pt: it is an input"),
    (("--init", "he", "--output", "none/new.pt"), "cannot write none/new.pt"),
    (("--norm", "layer:0", "--output", "new.onnx"), ".onnx cannot hold a network whose graph"),
    (("--norm", "layer:0", "--output", "net.pt"), "net.py is there already and was not written by"),
    (("--revive", "ACT001", "--dry-run"), "ACT001 finds nothing in this network"),
    (("--revive", "ACT999", "--dry-run"), "no rule is called 'ACT999'"),
]


@pytest.mark.parametrize(("more", "message"), BAD)
def test_bad_input_is_one_line_and_code_2(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path, more: tuple[str, ...], message: str
) -> None:
    files = {file.name: file.read_bytes() for file in here.iterdir() if file.is_file()}
    said = dnnrepair("swap", *asked, *more)
    assert said.code == 2
    assert message in said.err
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert {f.name: f.read_bytes() for f in here.iterdir() if f.is_file()} == files


ODD = """
import torch
from torch import nn


def frozen():
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return net[0].requires_grad_(False) and net


class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.ones(16, 8, dtype=torch.int8))

    def forward(self, x):
        import torch.ao.quantization.fx._decomposed

        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.weight, torch.full((16,), 0.01), torch.zeros(16, dtype=torch.int64),
            0, -127, 127, torch.int8,
        )
        return nn.functional.linear(x, weight)


def quantized():
    return nn.Sequential(Quantized(), nn.ReLU(), nn.Linear(16, 4))


class Branching(nn.Sequential):
    def forward(self, x):
        y = super().forward(x)
        return y if float(y.sum()) > 0 else -y


def branching():
    return Branching(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


class Conditional(nn.Sequential):
    def forward(self, x):
        y = super().forward(x)
        return torch.cond(y.sum() > 0, lambda y: y + 0.0, lambda y: -y, (y,))


def conditional():
    return Conditional(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
"""
REFUSED = [
    ("frozen", "relu=prelu:0", "0 is frozen (requires_grad is False); unfreeze it first"),
    ("quantized", "relu=prelu", "is quantized; change the network before it is quantized"),
    ("branching", "relu=prelu", "could not be exported as a graph, and only graphs can be changed"),
    ("branching", "relu=prelu", "write branches that depend on values as torch.where"),
    ("conditional", "relu=prelu", "the graph holds cond (control flow"),
]


@pytest.mark.parametrize(("kind", "asked", "message"), REFUSED)
def test_networks_that_cannot_be_changed_are_refused_in_one_line(
    dnnrepair: Run, data: Path, here: Path, kind: str, asked: str, message: str
) -> None:
    (here / "odd.py").write_text(ODD)
    if kind == "quantized":
        pytest.importorskip("torch.ao.quantization.fx._decomposed")
    scope: dict[str, Any] = {}
    exec(ODD, scope)
    torch.save(scope[kind]().state_dict(), here / "odd.pt")
    said = dnnrepair(
        *("swap", here / "odd.pt", "--arch", f"odd.py:{kind}", "--data", data),
        *("--activation", asked, "--output", "new.pt"),
    )
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (here / "new.pt").exists()


class Deciding(nn.Module):
    """Goes round in a loop, which torch's converter does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x).relu()
        done = 0
        while done < y.size(1) // 8:
            y = y * 1.5
            done += 1
        found: torch.Tensor = self.last(y)
        return found


def test_a_script_that_branches_is_changed_in_numbers_only(
    dnnrepair: Run, data: Path, here: Path
) -> None:
    with quiet():
        torch.jit.save(torch.jit.script(Deciding()), here / "loop.pt")
    arguments = ("swap", here / "loop.pt", "--data", data)
    said = dnnrepair(*arguments, "--activation", "relu=prelu", "--output", "new.pt")
    assert said.code == 2
    assert "decides by its data what to do" in said.err
    said = dnnrepair(*arguments, "--init", "he:first", "--output", "new.pt")
    assert said.code == 0, said.err


def test_a_normalization_is_folded_in(dnnrepair: Run, asked: tuple[Any, ...], here: Path) -> None:
    given = ("--scale", "0.5", "--mean", "1", "--std", "4")
    said = dnnrepair("swap", *asked, *given, "--fold-input", "--output", "raw.pt")
    assert said.code == 0, said.err
    assert "give inputs as they are stored from now on" in " ".join(said.out.split())
    assert not (here / "raw.py").exists(), "only numbers changed"
    x = torch.from_numpy(np.load(here / "data.npz")["x"])
    answers = []
    for name, inputs in (("model.pt", (x * 0.5 - 1) / 4), ("raw.pt", x)):
        module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        module.load_state_dict(torch.load(here / name, weights_only=True))
        with torch.no_grad():
            answers.append(module(inputs))
    assert torch.allclose(answers[0], answers[1], atol=1e-5)


def test_a_polynomial_says_what_the_outputs_take(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path
) -> None:
    said = dnnrepair("swap", *asked, "--activation", "relu=pann,precision=6", "--output", "p.pt")
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    assert "precision 6, on [-" in text
    assert "outputs differ by at most" in text
    assert "in the mean)" in text
    state = torch.load(here / "p.pt", weights_only=True)
    assert any(name.endswith(".stages") for name in state)
    scope: dict[str, Any] = {}
    exec((here / "p.py").read_text(), scope)
    scope["Net"]().load_state_dict(state)


def test_weights_are_drawn_to_match_what_follows(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path
) -> None:
    said = dnnrepair("swap", *asked, "--init", "auto", "--output", "new.pt")
    assert said.code == 0, said.err
    assert "0 by he_normal, gain 1.41; 2 by xavier_normal, gain 1" in " ".join(said.out.split())
    dnnrepair("swap", *asked, "--init", "matched", "--output", "same.pt")
    one, other = (torch.load(here / name, weights_only=True) for name in ("new.pt", "same.pt"))
    assert all(identical(one[name], other[name]) for name in one)


PLAIN = """
import sys, torch
sys.modules["dnnrepair"] = None
from new import Net
net = Net()
net.load_state_dict(torch.load("new.pt", weights_only=True))
torch.save(net.eval()(torch.load("x.pt", weights_only=True)).detach(), "y.pt")
"""


def test_plain_torch_loads_what_was_written(
    dnnrepair: Run, asked: tuple[Any, ...], here: Path
) -> None:
    changes = ("--activation", "relu=prelu", "--norm", "batch:0", "--norm", "weight:0")
    assert dnnrepair("swap", *asked, *changes, "--output", "new.pt").code == 0
    x = torch.from_numpy(np.load(here / "data.npz")["x"])
    torch.save(x, here / "x.pt")
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", PLAIN], cwd=here, check=True, env=clean)
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    module.load_state_dict(torch.load(here / "model.pt", weights_only=True))
    with torch.no_grad():
        expected = module(x)
    assert torch.allclose(torch.load(here / "y.pt", weights_only=True), expected, atol=1e-5)


def test_data_are_asked_for_where_they_are_needed(dnnrepair: Run, network: Path) -> None:
    arguments = ("swap", network, "--arch", "net:make", "--input-shape", "8", "--dry-run")
    said = dnnrepair(*arguments, "--activation", "relu=silu")
    assert said.code == 2
    assert "no silu equals relu" in said.err
    assert "give data with --data" in said.err
    said = dnnrepair(*arguments, "--activation", "relu=prelu")
    assert said.code == 0, said.err
    assert "made-up Gaussian inputs" in said.out


def test_a_folder_of_transformers_cannot_hold_a_learned_activation(
    network: Path, here: Path
) -> None:
    from dataclasses import replace

    from dnnrepair.errors import SettingError
    from dnnrepair.subject import subject_of
    from dnnrepair.swapping.driver import swap
    from dnnrepair.swapping.plan import planned
    from dnnrepair.swapping.saving import check_form

    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    outcome = swap(subject_of(module, torch.randn(64, 8)), planned({"activation": ["prelu"]}))
    folder = replace(outcome, before=replace(outcome.before, form="Hugging Face"))
    with pytest.raises(SettingError, match=r"runs their code, which cannot hold .*became prelu"):
        check_form(folder, here / "new")
    check_form(folder, here / "new.pt")
    assert network.exists()
