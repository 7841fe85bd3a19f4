"""The benchmark of the monitor, on a network of which a step takes less than a millisecond."""

from __future__ import annotations

import time

import pytest

from dnnrepair.bench import monitor as bench
from dnnrepair.bench.monitor import EVERY, Stretch, interval, stretches
from dnnrepair.bench.result import BenchOptions
from dnnrepair.monitor.examining import Examiner
from tests.monitor.loops import data, network


def test_what_looks_cost_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that is made 0.2 s dearer is seen to be so, in its place and in the overhead."""
    planted = 0.2
    look = Examiner.look

    def dearer(self: Examiner, watch: object) -> object:
        began = time.process_time()
        while time.process_time() - began < planted:
            pass
        return look(self, watch)  # type: ignore[arg-type]

    before = stretches(network(), network(), data(), looks=2)
    monkeypatch.setattr(Examiner, "look", dearer)
    after = stretches(network(), network(), data(), looks=2)
    assert [one.deep for one in after] == [True, False, False]
    for old, new in zip(before[1:], after[1:], strict=True):
        assert new.look - old.look == pytest.approx(planted, abs=0.1)
        assert new.near == pytest.approx(new.look, rel=0.2)
        assert 0 < new.between < 0.1
        assert new.share * EVERY * new.usual == pytest.approx(new.near + new.between)


def test_both_train_on_the_same_and_end_equal() -> None:
    watched, plain = network(), network()
    stretches(watched, plain, data(), looks=1)
    for ours, theirs in zip(watched.parameters(), plain.parameters(), strict=True):
        assert ours.equal(theirs)
    *_, last = watched.parameters()
    assert not last.equal(list(network().parameters())[-1])
    assert not watched._forward_hooks


@pytest.mark.parametrize(("share", "met"), [(0.02, True), (0.04, False)])
def test_the_bound_is_judged(share: float, met: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object, **__: object) -> list[Stretch]:
        first = Stretch(usual=0.1, between=0.0, near=9.0, look=8.0, deep=True)
        later = [
            Stretch(usual=0.1, between=0.0, near=share * 10 + d, look=0.2, deep=deep)
            for d, deep in ((0.01, False), (-0.01, True))
        ]
        return [first, *later]

    monkeypatch.setattr(bench, "stretches", made)
    found = bench.run(BenchOptions(quick=True))
    assert [figure.met for figure in found.figures] == [met, met]
    assert "--quick" in found.skipped[0]
    assert [figure.value for figure in found.figures] == pytest.approx([share, share])
    assert found.tables[0].rows[0][2:] == (
        f"{100 * share:.2f} %",
        f"[{100 * share - 0.1:.2f}, {100 * share + 0.1:.2f}]",
        "0 µs",
        "2.0",
        "2.0",
        "80.0",
    )


def test_the_interval_holds_the_mean() -> None:
    low, high = interval([1.0, 2.0, 3.0, 4.0] * 10, seed=0)
    assert low < 2.5 < high
    assert high - low == pytest.approx(2 * 1.96 * 1.118 / 40**0.5, rel=0.15)
