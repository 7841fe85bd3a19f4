"""The journal of finished runs: what it keeps, and what it does not take for a result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from dnnrepair.bench import journal
from dnnrepair.bench.activations import Run
from dnnrepair.bench.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

RUN = Run(activation="relu", network="mlp", seed=1, accuracy=0.1 + 0.2, dead=1 / 3, saturated=0.0)


def test_what_is_kept_comes_back_equal(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "new", Run)
    kept.keep(("relu", 1), RUN)
    assert Journal(tmp_path / "new", Run).known(("relu", 1)) == RUN
    assert kept.known(("relu", 2)) is None
    kept.keep(("nan",), Run(activation="a", network="b", seed=0, accuracy=math.nan, dead=0.0,
                            saturated=math.inf))  # fmt: skip
    again = kept.known(("nan",))
    assert again is not None
    assert math.isnan(again.accuracy)
    assert again.saturated == math.inf


def test_nothing_is_made_twice(tmp_path: Path) -> None:
    kept = Journal(tmp_path, Run)
    assert kept.get(("x",), lambda: RUN) is RUN
    assert kept.get(("x",), lambda: pytest.fail("made again")) == RUN
    assert Journal(None, Run).get(("x",), lambda: RUN) is RUN


def test_results_of_other_code_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal(tmp_path, Run).keep(("x",), RUN)
    monkeypatch.setattr(journal, "code_digest", lambda: "other")
    assert Journal(tmp_path, Run).known(("x",)) is None


@pytest.mark.parametrize("content", ["", "{", "null", '{"activation": 3}', "\x00\xff"])
def test_a_damaged_file_is_no_result(tmp_path: Path, content: str) -> None:
    kept = Journal(tmp_path, Run)
    kept.keep(("x",), RUN)
    (path,) = tmp_path.iterdir()
    path.write_text(content, encoding="latin-1")
    assert kept.known(("x",)) is None
    assert kept.get(("x",), lambda: RUN) == RUN
    assert kept.known(("x",)) == RUN
