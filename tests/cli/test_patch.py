"""``dnnrepair patch`` as a user meets it: from a file with errors to one with fewer, and back."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import validate

from dnnrepair.progress import Silent
from tests.cli.conftest import Said
from tests.cli.repaired import Files, answers, learned, written

Run = Callable[..., Said]
QUICK = ("--set", "anchored.weights=1,5", "--set", "anchored.steps=40", "--fix", "all")
SEARCH = (
    *("--method", "arachne", "--fix", "all", "--set", "arachne.candidates=12"),
    *("--set", "arachne.generations=12", "--set", "arachne.alphas=1,4"),
)


@pytest.fixture
def files(here: Path) -> Files:
    return written(here)


def read(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return found


@pytest.mark.parametrize("method", [QUICK, SEARCH], ids=["anchored", "arachne"])
def test_the_patched_network_does_what_the_report_says(
    dnnrepair: Run, files: Files, method: tuple[str, ...]
) -> None:
    original = files.model.read_bytes()
    _, x, y = learned(3)
    test = files.folder / "test.npz"
    np.savez(test, x=x[:300].numpy(), y=y[:300].numpy())
    said = dnnrepair("patch", *files.arguments(*method, "--test-data", test, "--output", "r.json"))
    assert (said.code, said.out) == (0, "")
    assert said.err == "report written to r.json\n"
    report = json.loads((files.folder / "r.json").read_text())
    (chosen,) = [point for point in report["points"] if point["chosen"]]
    assert chosen["patch"] == str(files.folder / "model.patch")
    assert files.model.read_bytes() == original

    assert dnnrepair("apply", files.model, chosen["patch"], "--output", "fixed.pt").code == 0
    state = read(files.folder / "fixed.pt")
    before = answers(read(files.model), x[:300]).argmax(1) == y[:300]
    after = answers(state, x[:300]).argmax(1) == y[:300]
    seen = chosen["held_out"]
    assert seen["before"]["hits"] == int(before.sum())
    assert seen["after"]["hits"] == int(after.sum())
    assert seen["targets"]["hits"] == int((after & ~before).sum()) > 0
    assert seen["broken"]["hits"] == int((before & ~after).sum())

    assert dnnrepair("revert", "fixed.pt", chosen["patch"], "--output", "back.pt").code == 0
    back = read(files.folder / "back.pt")
    assert all(torch.equal(back[name], value) for name, value in learned(3)[0].items())
    shown = dnnrepair("show", chosen["patch"])
    assert shown.code == 0
    assert "weight[" in shown.out


def test_the_report_keeps_its_schema(dnnrepair: Run, files: Files) -> None:
    said = dnnrepair("patch", *files.arguments(*QUICK, "--output-format", "json"))
    assert said.code == 0
    schema = json.loads(dnnrepair("schema", "--kind", "patch").out)
    validate(json.loads(said.out), schema)


def test_the_report_is_drawn_in_every_format(dnnrepair: Run, files: Files) -> None:
    for name, words in (("r.html", "<svg"), ("r.md", "| "), ("r.txt", "Trade-off")):
        assert dnnrepair("patch", *files.arguments(*QUICK, "--output", name)).code == 0
        assert words in (files.folder / name).read_text()
    said = dnnrepair("patch", *files.arguments(*QUICK))
    assert "Written to" in said.out
    assert said.err == ""


@pytest.mark.parametrize("method", [QUICK, SEARCH], ids=["anchored", "arachne"])
def test_the_same_command_gives_the_same_bytes(
    dnnrepair: Run, files: Files, method: tuple[str, ...]
) -> None:
    found = []
    for _ in range(2):
        said = dnnrepair("patch", *files.arguments(*method, "--output-format", "json"))
        report = json.loads(said.out)
        assert report.pop("stages")
        found.append((report, (files.folder / "model.patch").read_bytes()))
    assert found[0] == found[1]


def test_pareto_keeps_every_patch_that_would_do(dnnrepair: Run, files: Files) -> None:
    more = ("--fix", "all", "--set", "anchored.weights=0.5,1,5,50", "--pareto")
    said = dnnrepair("patch", *files.arguments(*more, "--patch", "p.patch", "--output", "r.json"))
    assert said.code == 0
    points = json.loads((files.folder / "r.json").read_text())["points"]
    kept = {point["patch"] for point in points if point["patch"]}
    assert kept == {path.name for path in files.folder.glob("*.patch")}
    assert len(kept) > 1
    for place, point in enumerate(points):
        expected = "p.patch" if point["chosen"] else f"p-{place + 1}.patch"
        assert point["patch"] == (expected if point["accepted"] else "")
        if point["patch"]:
            assert dnnrepair("apply", files.model, point["patch"], "--dry-run").code == 0


def test_no_patch_is_written_that_does_not_help(dnnrepair: Run, files: Files) -> None:
    hopeless = ("--max-broken", "0%", "--pareto", "--output", "r.json", *QUICK)
    said = dnnrepair("patch", *files.arguments(*hopeless))
    assert said.code == 4
    report = json.loads((files.folder / "r.json").read_text())
    assert not report["accepted"]
    assert "no change beats" in report["reason"]
    assert list(files.folder.glob("*.patch")) == []


def test_inputs_are_never_overwritten(dnnrepair: Run, files: Files) -> None:
    (files.folder / "fix.txt").write_text("0\n")
    before = {path.name: path.read_bytes() for path in files.folder.iterdir() if path.is_file()}
    for target in ("model.pt", "data.npz", "fix.txt", "test.npz"):
        (files.folder / "test.npz").write_bytes(files.data.read_bytes())
        more = ("--fix-indices", "fix.txt", "--test-data", "test.npz")
        said = dnnrepair("patch", *files.arguments("--patch", target, *more))
        assert said.code == 2
        assert f"will not write {target}" in said.err
        assert said.err.count("\n") == 1
    both = dnnrepair("patch", *files.arguments("--patch", "x", "--output", "x", *QUICK))
    assert both.code == 2
    assert all((files.folder / name).read_bytes() == content for name, content in before.items())


def test_nothing_to_do_is_no_failure(dnnrepair: Run, files: Files) -> None:
    _, x, y = learned(3)
    right = answers(learned(3)[0], x).argmax(1) == y
    good = files.folder / "good.npz"
    np.savez(good, x=x[right].numpy(), y=y[right].numpy())
    said = dnnrepair("patch", *files.arguments("--data", good))
    assert (said.code, said.out) == (0, "")
    assert "nothing to do: the network gets all" in said.err

    others = right | (y != 0)
    np.savez(good, x=x[others].numpy(), y=y[others].numpy())
    said = dnnrepair("patch", *files.arguments("--data", good, "--fix", "0"))
    assert said.code == 0
    assert "no input is misclassified as asked (errors of class 0)" in said.err
    assert "errors (true:predicted) are " in said.err
    assert list(files.folder.glob("*.patch")) == []


def bad_data(folder: Path) -> None:
    """Write data of every kind that cannot be used."""
    state, x, y = learned(3)
    wrong = (answers(state, x).argmax(1) != y).nonzero()[:, 0]
    keep = torch.ones(len(y), dtype=torch.bool)
    keep[wrong[3:]] = False
    np.savez(folder / "three.npz", x=x[keep].numpy(), y=y[keep].numpy())
    np.savez(folder / "bare.npz", x=x.numpy())
    np.savez(folder / "nan.npz", x=(x * torch.nan).numpy(), y=y.numpy())
    np.savez(folder / "values.npz", x=x.numpy(), y=x[:, :3].numpy())
    np.savez(folder / "high.npz", x=x.numpy(), y=(y + 5).numpy())
    (folder / "wrong.txt").write_text("\n".join(map(str, wrong[:8].tolist())))
    (folder / "far.txt").write_text("5000")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--data", "three.npz", "--fix", "all"), "too few"),
        (("--data", "bare.npz"), "labels"),
        (("--data", "nan.npz"), "NaN"),
        (
            ("--data", "values.npz", "--fix", "1:0"),
            "and the network predicts values",
        ),
        (("--data", "high.npz"), "labels run from 5"),
        (("--data", "data.npz", "--test-data", "bare.npz"), "labels"),
        (("--fix", "2:2"), "--fix 2:2"),
        (("--fix", "1:7"), "class 7 is out of range: the network has 3"),
        (("--fix", "cat"), "--fix cat"),
        (("--fix-indices", "far.txt"), "5000"),
        (("--fix-indices", "wrong.txt", "--protect", "wrong.txt"), "to be fixed and protected"),
        (("--protect", "9"), "class 9 is out of range"),
        (("--layer", "nowhere"), "nowhere"),
        (("--set", "arachne.alphas=1"), "arachne is not used here"),
        (("--set", "anchored.step=1"), "did you mean 'steps'"),
        (("--method", "arachne", "--set", "arachne.alphas=0"), "an alpha is 0"),
        (("--patch", "no/where.patch"), "no/where.patch"),
        (("--risk", "none.toml"), "none.toml"),
    ],
)
def test_what_cannot_be_repaired_is_refused_in_one_line(
    dnnrepair: Run, files: Files, more: tuple[str, ...], words: str
) -> None:
    bad_data(files.folder)
    said = dnnrepair("patch", *files.arguments(*more))
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert list(files.folder.glob("*.patch")) == []


def test_a_network_without_data_or_architecture_is_refused(dnnrepair: Run, files: Files) -> None:
    for arguments in (
        (files.model, "--arch", "erring:make"),
        (files.model, "--data", files.data),
    ):
        said = dnnrepair("patch", *arguments)
        assert said.code == 2
        assert said.err.count("\n") == 1


def test_of_a_softmax_the_logits_are_used_and_said_to_be(dnnrepair: Run, files: Files) -> None:
    arguments = (*files.arguments(*QUICK, "--output-format", "json"), "--arch", "erring:soft")
    soft = json.loads(dnnrepair("patch", *arguments).out)
    bare = json.loads(dnnrepair("patch", *files.arguments(*QUICK, "--output-format", "json")).out)
    assert any("softmax" in note and "logits" in note for note in soft["notes"])
    assert [p["held_out"]["after"] for p in soft["points"]] == [
        p["held_out"]["after"] for p in bare["points"]
    ]


@pytest.mark.parametrize("method", ["anchored", "arachne"])
def test_values_within_a_tolerance(dnnrepair: Run, here: Path, method: str) -> None:
    files = written(here, outputs=1)
    _, x, y = learned(1)
    more = (
        "--arch",
        "erring:single",
        "--task",
        "regress",
        "--tolerance",
        "0.6",
        "--method",
        method,
    )
    quick = SEARCH[4:] if method == "arachne" else ()
    np.savez(here / "test.npz", x=x[:200].numpy(), y=y[:200].numpy())
    said = dnnrepair(
        *("patch", *files.arguments(*more, *quick, "--test-data", "test.npz")),
        *("--output", "r.json", "--pareto"),
    )
    report = json.loads((here / "r.json").read_text())
    assert said.code == (0 if report["accepted"] else 4)
    assert report["goal"] == "all errors"
    before = (answers(learned(1)[0], x[:200]) - y[:200]).abs()[:, 0] <= 0.6
    assert report["points"][0]["held_out"]["before"]["hits"] == int(before.sum())
    for point in report["points"]:
        if point["patch"]:
            assert dnnrepair("apply", "model.pt", point["patch"], "--output", "f.pt").code == 0
            after = (answers(read(here / "f.pt"), x[:200]) - y[:200]).abs()[:, 0] <= 0.6
            assert abs(point["held_out"]["after"]["hits"] - int(after.sum())) <= 1  # rounding
            (here / "f.pt").unlink()


def test_a_full_disk_leaves_the_old_patch_whole(
    dnnrepair: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = files.folder / "model.patch"
    target.write_bytes(b"the old patch")

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            super().write(content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fdopen", Full)
    said = dnnrepair("patch", *files.arguments(*QUICK))
    assert said.code == 2
    assert "cannot write" in said.err
    assert "no space left" in said.err
    assert target.read_bytes() == b"the old patch"
    assert list(files.folder.glob(".dnnrepair-*")) == []


class Impatient(Silent):
    """Somebody who presses Ctrl-C after a few generations."""

    left = 6

    def stage(self, name: str, total: int | None) -> None:  # noqa: ARG002
        self.left = 6

    def advance(self, n: int) -> None:
        self.left -= n
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupted_search_is_kept_and_goes_on(
    dnnrepair: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dnnrepair("patch", *files.arguments(*SEARCH, "--patch", "a.patch")).code == 0
    with monkeypatch.context() as patch:
        patch.setattr("dnnrepair.cli.progress.silent", Impatient())
        said = dnnrepair("patch", *files.arguments(*SEARCH, "--patch", "b.patch"))
    (kept,) = files.folder.glob("*.search")
    assert (said.code, said.out) == (130, "")
    assert said.err.strip() == (
        f"interrupted: the search is kept in {kept.name}; the same command goes on"
    )
    assert not (files.folder / "b.patch").exists()
    assert dnnrepair("patch", *files.arguments(*SEARCH, "--patch", "b.patch")).code == 0
    assert (files.folder / "a.patch").read_bytes() == (files.folder / "b.patch").read_bytes()
    assert list(files.folder.glob("*.search")) == []


def test_a_model_by_name_has_its_patch_in_the_current_folder() -> None:
    from dnnrepair.cli.patch import beside

    assert beside("models:cnn@weak") == Path("cnn-weak.patch")
    assert beside("timm:resnet18.a1") == Path("resnet18.a1.patch")
    assert beside("some/net.pt") == Path("some/net.patch")
