"""Every command that takes --device works there, and comes to the same end as on the CPU."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dnnrepair.cli.main import run

if TYPE_CHECKING:
    import torch

FLAWED = "models:transformer"  # wrong on some 5 % of its inputs
COMMANDS = (
    "diagnose models:mlp-relu+dead-units --output-format json",
    *(f"localize {FLAWED} --fix all --method {m}" for m in ("bidirectional", "gradient", "random")),
    *(
        f"patch {FLAWED} --fix all --method {method} --patch OUT/model.patch"
        for method in ("anchored", "last-layer", "gradient", "exact")
    ),
    f"patch {FLAWED} --fix all --method random --set random.candidates=50 --patch OUT/model.patch",
    "patch models:lstm --method arachne --set arachne.generations=5 --patch OUT/model.patch",
    "patch models:lstm --fix all --method anchored --patch OUT/model.patch",
    "patch models:regressor --fix all --method gradient --patch OUT/model.patch",
    "compare models:mlp-relu --fix all --set arachne.generations=5 --output OUT/compare.html",
    "swap models:cnn-bn+frozen-statistics --reestimate-bn --activation relu=silu --output OUT/n.pt",
    "swap models:mlp-relu --norm batch --temperature auto --output OUT/new.pt2",
    "repair models:mlp-relu+dead-units --attempts 2 --output OUT/fixed.pt",
    "repair models:cnn-bn+frozen-statistics --attempts 1 --jobs 2 --output OUT/fixed.pt",
    "repair models:rnn+strong-recurrence --attempts 2 --random-baseline --dry-run",
)
TABLE = (
    "--data people/synthetic_rows.csv --preprocess people/prep.toml --label income"
    " --positive '>50K' --sensitive sex --draws 100"
)
FAIR = (
    f"audit people/model.pt2 {TABLE}",
    f"debias people/model.pt2 {TABLE} --patch OUT/model.patch",
    f"debias people/model.pt2 {TABLE} --objective flip --no-baselines --patch OUT/model.patch",
)


def ends(command: str, device: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, set[str]]:
    """Return the exit code and the names of the files that a command writes."""
    folder = Path(device.replace(":", ""))
    folder.mkdir()
    words = shlex.split(command.replace("OUT", str(folder)))
    code = run([*words, "--device", device])
    said = capsys.readouterr().err
    assert "internal error" not in said, said
    assert code != 2, said
    return code, {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("here")
def test_commands(device: torch.device, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(command, str(device), capsys) == ends(command, "cpu", capsys)


@pytest.mark.usefixtures("here")
def test_fairness(device: torch.device, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--census", "people"]) == 0
    for number, command in enumerate(FAIR):
        Path(str(number)).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            Path(str(number), "people").symlink_to(Path("people").resolve())
            patch.chdir(str(number))
            assert ends(command, str(device), capsys) == ends(command, "cpu", capsys)
