"""DAT001 against inputs of every scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Severity
from dnnrepair.rules.raw_input import RawInput


def table(features: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 3))


def images() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def warned(see: Any, say: Any, model: nn.Module, x: Tensor) -> list[Any]:
    findings, _ = say(RawInput(), see(model, x, rule=RawInput))
    return [found for found in findings if found.severity is Severity.WARNING]


@pytest.mark.parametrize(
    "change", [lambda x: x * 60 + 100, lambda x: x * 1e-3, lambda x: x + 3, lambda x: x * 1e4]
)
@pytest.mark.parametrize("kind", ["table", "images"])
def test_raw_inputs_are_found(see: Any, say: Any, kind: str, change: Any) -> None:
    model, x = (table(), noise(600, 8)) if kind == "table" else (images(), noise(600, 3, 8, 8))
    assert warned(see, say, model, x) == []
    changed = change(x)
    in_range = changed.abs().max() <= 1
    assert len(warned(see, say, model, changed)) == (0 if in_range else 1)


def test_one_channel_is_enough(see: Any, say: Any) -> None:
    x = noise(600, 3, 8, 8)
    x[:, 2] = x[:, 2] * 10 + 128
    (found,) = warned(see, say, images(), x)
    assert "channel 2" in found.message


def test_one_wide_feature_is_found(see: Any, say: Any) -> None:
    x = noise(600, 8)
    x[:, 5] *= 1e4
    (found,) = warned(see, say, table(), x)
    assert any("feature 5" in line for line in (found.message, *found.evidence))


@pytest.mark.parametrize("low", [0, -1])
def test_unit_ranges_and_rare_features_are_healthy(see: Any, say: Any, low: int) -> None:
    x = noise(600, 8).sigmoid() * (1 - low) + low
    x[:, 0] = low
    x[3, 0] = low + 0.004  # a pixel that hardly ever varies
    assert warned(see, say, table(), x) == []


def test_constant_features_are_noted(see: Any, say: Any) -> None:
    x = noise(600, 8)
    x[:, [1, 4]] = 0.5
    (found,), _ = say(RawInput(), see(table(), x, rule=RawInput))
    assert found.severity is Severity.NOTE
    assert found.units == (1, 4)


def test_the_network_may_normalize_itself(see: Any, say: Any) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = table()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner((x - 100) / 60)  # type: ignore[no-any-return]

    findings, skips = say(RawInput(), see(Scaled(), noise(600, 8) * 60 + 100, rule=RawInput))
    assert findings == []
    assert "transformed" in skips[0].reason


def test_token_ids_are_left_to_the_embedding_rule(see: Any, say: Any) -> None:
    model = nn.Sequential(nn.Embedding(500, 8), nn.Linear(8, 3))
    findings, skips = say(RawInput(), see(model, torch.randint(0, 500, (64, 5)), rule=RawInput))
    assert findings == []
    assert "EMB001" in skips[0].reason


def test_folding_the_scale_keeps_the_predictions(see: Any, say: Any) -> None:
    model, x = table(), noise(600, 8).double() * 60 + 100
    (found,) = warned(see, say, model.double(), x)
    before = model(x)
    code = found.remedies[1].code
    scope: dict[str, Any] = {"model": model}
    exec(code, scope)
    torch.testing.assert_close(model((x - scope["mean"]) / scope["std"]), before)
