"""``dnnrepair localize`` as a user calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def arguments(network: Path, data: Path) -> tuple[str | Path, ...]:
    return ("localize", network, "--arch", "net:make", "--data", data)


def test_suspects_are_listed(dnnrepair: Any, arguments: tuple[str | Path, ...]) -> None:
    said = dnnrepair(*arguments, "--top", 5)
    assert said.code == 0
    assert said.err == ""
    head, _, columns, *rows = said.out.splitlines()
    assert "5 of 192 weights suspected (bidirectional)" in head
    names = ["layer", "weight", "value", "gradient loss", "forward impact"]
    assert [name for name in names if name in columns] == names
    assert len(rows) == 5
    assert all(row.split()[0] in {"0", "2"} for row in rows)


def test_json_holds_what_a_program_needs(
    dnnrepair: Any, arguments: tuple[str | Path, ...], network: Path
) -> None:
    said = dnnrepair(*arguments, "--method", "gradient", "--layer", "2", "--output-format", "json")
    found = json.loads(said.out)
    assert found["schema_version"] == 1
    assert found["method"] == "gradient"
    assert found["weights"] == 64
    assert len(found["suspects"]) == 10
    losses = [one["gradient_loss"] for one in found["suspects"]]
    assert losses == sorted(losses, reverse=True)
    state = torch.load(network, weights_only=True)
    for one in found["suspects"]:
        assert one["layer"] == "2"
        assert one["value"] == float(state[one["tensor"]][tuple(one["index"])])


def test_the_same_command_gives_the_same_bytes(
    dnnrepair: Any, arguments: tuple[str | Path, ...], here: Path
) -> None:
    for name in ("one.txt", "other.txt"):
        said = dnnrepair(*arguments, "--method", "random", "--seed", 3, "--output", name)
        assert said.out == ""
        assert "written to" in said.err
    assert (here / "one.txt").read_bytes() == (here / "other.txt").read_bytes()


def answers(network: Path, data: Path) -> Any:
    """Return inputs and what the network answers to them."""
    state, x = torch.load(network, weights_only=True), torch.from_numpy(np.load(data)["x"])
    hidden = (x @ state["0.weight"].mT + state["0.bias"]).relu()
    return x.numpy(), (hidden @ state["2.weight"].mT + state["2.bias"]).argmax(1).numpy()


@pytest.mark.parametrize("fix", ["1:2", "1", "all", "top", "*:3", "2,1:2"])
def test_suspects_are_sought_by_the_errors_that_are_named(
    dnnrepair: Any, arguments: tuple[str | Path, ...], network: Path, data: Path, fix: str
) -> None:
    labels, answer = np.load(data)["y"], answers(network, data)[1]
    wrong = labels != answer
    counts = {
        f"{a}:{b}": int((wrong & (labels == a) & (answer == b)).sum())
        for a in range(4)
        for b in range(4)
    }
    wanted = {
        "1:2": counts["1:2"],
        "1": sum(n for kind, n in counts.items() if kind.startswith("1")),
        "all": int(wrong.sum()),
        "top": max(counts.values()),
        "*:3": sum(n for kind, n in counts.items() if kind.endswith("3")),
        "2,1:2": counts["1:2"] + sum(n for kind, n in counts.items() if kind.startswith("2")),
    }
    said = dnnrepair(*arguments, "--fix", fix, "--top", 3)
    assert said.code == 0
    assert f"by {wanted[fix]:,} inputs to fix (" in said.out


def test_suspects_are_sought_by_inputs_that_are_named(
    dnnrepair: Any, arguments: tuple[str | Path, ...], network: Path, data: Path, here: Path
) -> None:
    wrong = np.flatnonzero(np.load(data)["y"] != answers(network, data)[1])
    np.save(here / "some.npy", wrong[3:5])
    said = dnnrepair(*arguments, "--fix-indices", here / "some.npy", "--top", 3)
    assert said.code == 0
    assert "by 2 inputs to fix (chosen inputs) and" in said.out
    said = dnnrepair(*arguments, "--fix-indices", here / "some.npy", "--output", here / "some.npy")
    assert said.code == 2
    assert "it is an input" in said.err


def test_values_within_the_tolerance_are_right(
    dnnrepair: Any, arguments: tuple[str | Path, ...], data: Path, here: Path
) -> None:
    x = np.load(data)["x"]
    np.savez(here / "values.npz", x=x, y=np.zeros((len(x), 4), np.float32))
    given = (*arguments, "--data", here / "values.npz")
    few, many = (
        dnnrepair(*given, "--tolerance", t, "--output-format", "json") for t in ("1", "0.5")
    )
    assert few.code == many.code == 0
    assert 0 < json.loads(few.out)["negatives"] < json.loads(many.out)["negatives"]
    said = dnnrepair(*given, "--fix", "6:0")
    assert said.code == 2
    assert "--fix 6:0 names a class, and the network predicts values" in said.err


def test_of_a_softmax_the_logits_are_used_and_that_is_said(
    dnnrepair: Any, arguments: tuple[str | Path, ...], here: Path
) -> None:
    (here / "net.py").write_text(
        (here / "net.py")
        .read_text()
        .replace("nn.Linear(16, 4))", "nn.Linear(16, 4), nn.Softmax(1))")
    )
    said = dnnrepair(*arguments, "--arch", here / "net.py:make")
    assert said.code == 0
    assert "the network ends in a softmax; the logits in front of it were used" in said.out


def test_what_cannot_be_localized_is_refused(
    dnnrepair: Any, arguments: tuple[str | Path, ...], network: Path, here: Path
) -> None:
    np.savez(here / "bare.npz", x=np.zeros((8, 8), np.float32))
    for extra, words in (
        (("--fix", "3:3"), "--fix 3:3: a class taken for itself is no error"),
        (("--fix", "4"), "class 4 is out of range: the network has 4, 0 to 3"),
        (("--fix", "person"), "--fix person is unknown"),
        (("--fix-indices", "missing.txt"), "cannot read missing.txt"),
        (("--layer", "hidden"), "no layer with weights"),
        (("--data", here / "bare.npz"), "labeled data"),
        (("--output", network), "it is an input"),
        (("--top", "0"), "--top"),
    ):
        said = dnnrepair(*arguments, *extra)
        assert said.code == 2
        assert words in said.err
        assert said.err.count("\n") == 1


def test_a_network_without_errors_has_no_suspects(
    dnnrepair: Any, arguments: tuple[str | Path, ...], here: Path, network: Path, data: Path
) -> None:
    x, y = answers(network, data)
    np.savez(here / "right.npz", x=x, y=y)
    said = dnnrepair(*arguments, "--data", here / "right.npz")
    assert (said.code, said.out) == (0, "")
    assert said.err == "nothing to do: the network gets all 600 inputs right\n"


def test_where_no_such_error_is_made_the_kinds_that_are_made_are_listed(
    dnnrepair: Any, arguments: tuple[str | Path, ...], here: Path, network: Path, data: Path
) -> None:
    x, y = answers(network, data)
    wrong = np.where(y == 2, 1, y)
    np.savez(here / "twos.npz", x=x, y=wrong)
    said = dnnrepair(*arguments, "--data", here / "twos.npz", "--fix", "0:3")
    assert (said.code, said.out) == (0, "")
    assert "nothing to do: no input is misclassified as asked (class 0 taken for 3)" in said.err
    assert f"errors (true:predicted) are 1:2 ({int((y == 2).sum())})" in said.err
