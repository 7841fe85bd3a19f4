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


def test_what_cannot_be_localized_is_refused(
    dnnrepair: Any, arguments: tuple[str | Path, ...], network: Path, here: Path
) -> None:
    np.savez(here / "bare.npz", x=np.zeros((8, 8), np.float32))
    for extra, words in (
        (("--fix", "6:6"), "--fix 6:6"),
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
    state, x = torch.load(network, weights_only=True), torch.from_numpy(np.load(data)["x"])
    hidden = (x @ state["0.weight"].mT + state["0.bias"]).relu()
    y = (hidden @ state["2.weight"].mT + state["2.bias"]).argmax(1)
    np.savez(here / "right.npz", x=x.numpy(), y=y.numpy())
    said = dnnrepair(*arguments, "--data", here / "right.npz")
    assert said.code == 2
    assert "none of" in said.err
    assert "wrong" in said.err
