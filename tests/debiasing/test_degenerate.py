"""Where nothing but one decision for everybody would be fair, the network is left alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path


class Sexist(torch.nn.Module):
    """Reads the first column alone; the others keep rows apart."""

    def __init__(self) -> None:
        """Prefer those with a 0."""
        super().__init__()
        self.layer = torch.nn.Linear(1, 2)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[0.3], [-0.3]]))
            self.layer.bias.copy_(torch.tensor([-0.15, 0.15]))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return logits of no and yes."""
        logits: torch.Tensor = self.layer(rows[:, :1])
        return logits


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_one_decision_for_everybody_is_no_repair(
    dnnrepair: Any, tmp_path: Path, share: float
) -> None:
    """The network sees the sex alone: it can part the sexes wholly, or not at all.

    Parting them is right for most. One decision for all is fair, and mostly negative where few
    are positive, mostly positive where many are.
    """
    rng = np.random.default_rng(0)
    woman = rng.integers(0, 2, 4000)
    likely = np.where(woman == 1, share / 2, share / 2 + 0.5)
    label = np.where(rng.random(4000) < likely, "yes", "no")
    frame = pd.DataFrame({"woman": woman, "noise": rng.normal(0, 1, 4000), "label": label})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    rows = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(Sexist().eval(), (torch.zeros(4, 2),), dynamic_shapes=rows)
    torch.export.save(program, tmp_path / "m.pt2")
    said = dnnrepair(
        "debias", tmp_path / "m.pt2", "--data", tmp_path / "rows.csv", "--features", "woman,noise",
        "--positive", "yes", "--sensitive", "woman", "--objective", "dp", "--draws", "100",
        "--no-baselines", "--patch", tmp_path / "p.patch", "--output-format", "json",
    )  # fmt: skip
    assert said.code == 4, said.err
    found = json.loads(said.out)
    assert found["outcome"]["reasons"] == [
        "DEGENERATE: candidates are fair only by deciding the same for everybody"
    ]
    assert not (tmp_path / "p.patch").exists()
