"""Early stopping, against its rules written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import SettingError
from dnnrepair.recover import EarlyStopping

CURVE = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=20)


@given(CURVE, st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_patience_counts_epochs_since_the_last_improvement(
    curve: list[float], patience: int, delta: float
) -> None:
    best, waited = curve[0], 0
    for value in curve[1:]:
        if best - value > delta:
            best, waited = value, 0
        else:
            waited += 1
    said = EarlyStopping(patience=patience, min_delta=delta).reason(curve)
    assert said == (f"no improvement for {patience} epochs" if waited >= patience else "")


@given(CURVE, st.integers(1, 4))
def test_a_rise_over_the_window_stops(curve: list[float], window: int) -> None:
    said = EarlyStopping(patience=None, window=window).reason(curve)
    rose = len(curve) > window and curve[-1] > curve[-1 - window]
    assert said.startswith("it rose from") is rose


@given(CURVE, st.sampled_from([0.5, 1.0, 3.0]))
def test_a_small_change_stops(curve: list[float], tolerance: float) -> None:
    said = EarlyStopping(patience=None, tolerance=tolerance).reason(curve)
    small = len(curve) > 1 and abs(curve[-1] - curve[-2]) < tolerance
    assert said.startswith("the last epoch changed it by") is small


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patience": 0}, "patience is 0; give at least 1 epoch"),
        ({"window": -1}, "window is -1"),
        ({"min_delta": float("nan")}, "min_delta is nan; give a finite number of at least 0"),
        ({"tolerance": -0.1}, "tolerance is -0.1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        EarlyStopping(**settings)  # type: ignore[arg-type]
