"""A monitor in a training loop: what it sees, says, keeps and leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair import Monitor, diagnose_module, render_report
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.finding import Severity, rules
from dnnrepair.formats.stored import load
from tests.monitor.loops import batches, data, network, sgd, train

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.finding import Finding


def codes(monitor: Monitor, least: Severity = Severity.WARNING) -> set[str]:
    return {
        one.finding.code
        for one in monitor.findings
        if one.finding.severity.rank <= least.rank and one.gone is None
    }


def gradients(monitor: Monitor) -> dict[str, Gradient]:
    last = monitor._examiner._last
    assert last is not None
    return dict(last[1].of(Gradient))


def test_a_healthy_run_is_found_healthy() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=20) as m:
        train(m, model, optimizer, 120)
    report = m.report()
    assert not codes(m)
    assert report.worst() in (None, Severity.NOTE)
    assert report.model.samples == 512
    assert report.model.mode == "graph"
    assert {"ACT001", "GRD001", "NUM001", "TRN002", "TRN004", "TRN005", "TRN008"} <= set(
        report.checked
    )
    assert not any("failed" in note for note in report.model.notes)
    assert set(report.checked) | {skip.code for skip in report.skipped} >= set(rules)


def test_dead_units_are_found_as_a_diagnosis_finds_them() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("0.bias")[:24] = -100
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=10, select=["ACT001"]) as m:
        train(m, model, optimizer, 30)
    (seen,) = [one for one in m.findings if one.finding.layer == "0"]
    (offline,) = [
        f for f in diagnose_module(model, data(), select=["ACT001"]).findings if f.layer == "0"
    ]
    assert seen.finding.units == offline.units
    assert set(range(24)) <= set(offline.units)
    assert seen.finding.severity is offline.severity is Severity.WARNING
    assert (seen.first, seen.last, seen.looks, seen.gone) == (10, 30, 3, None)
    (reported,) = [f for f in m.report().findings if f.layer == "0"]
    assert "seen at 3 looks from step 10 to step 30" in reported.evidence


def test_training_is_left_as_it_would_have_been() -> None:
    plain, watched = network(), network()
    with torch.random.fork_rng(devices=[]):
        for model, every in ((plain, None), (watched, 5)):
            torch.manual_seed(0)
            dropped = nn.Sequential(model, nn.Dropout(0.5))
            optimizer = torch.optim.Adam(dropped.parameters(), 1e-2)
            m = Monitor(dropped, optimizer, every=every or 10**6)
            if every:
                m.attach()
            train(m, dropped, optimizer, 20)
            m.detach()
            assert dropped.training
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True)
    )
    assert not watched._forward_hooks


def test_what_is_gone_is_a_note() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=10, select=["ACT001"]) as m:
        with torch.no_grad():
            model.get_parameter("0.bias")[:24] -= 100
        train(m, model, optimizer, 10)
        assert codes(m) == {"ACT001"}
        with torch.no_grad():
            model.get_parameter("0.bias")[:24] += 100
        train(m, model, optimizer, 20)
    (finding,) = [f for f in m.report().findings if f.layer == "0"]
    assert finding.severity is Severity.NOTE
    assert "gone since step 20 (was: warning)" in finding.message


def test_weights_and_losses_that_are_not_finite_are_found() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=10) as m:
        train(m, model, optimizer, 15)
        with torch.no_grad():
            model.get_parameter("2.weight")[3, 4] = torch.nan
        train(m, model, optimizer, 15)
    found = {f.code: f for f in m.report().findings}
    assert {"NUM001", "TRN001"} <= set(found)
    assert found["NUM001"].severity is found["TRN001"].severity is Severity.ERROR
    assert "the first after 15 steps" in found["TRN001"].message


def test_gradients_that_are_not_finite_are_found_before_the_loss_is() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=1) as m:
        for x, y in batches(1):
            m.loss(F.cross_entropy(model(x), y), y).backward()
            gradient = model.get_parameter("0.weight").grad
            assert gradient is not None
            gradient[1, 2] = torch.inf
            optimizer.step()
            optimizer.zero_grad()
    assert {"NUM001", "GRD002"} & codes(m, Severity.ERROR)
    assert gradients(m)["0.weight"].nonfinite == 1
    assert "TRN001" not in codes(m)


def test_a_closure_of_none_is_no_closure() -> None:
    """Accelerate's optimizer hands its own argument on: ``step(None)``."""
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=2) as m:
        for place, (x, y) in enumerate(batches(2)):
            m.loss(F.cross_entropy(model(x), y), y).backward()
            optimizer.step(closure=None) if place else optimizer.step(None)
            optimizer.zero_grad()
    assert gradients(m)["0.weight"].batches == 2


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_are_judged_unscaled(fused: bool) -> None:
    def ratios(scaler: torch.amp.GradScaler | None) -> dict[str, float]:
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=fused)
        with Monitor(model, optimizer, every=4) as m:
            for x, y in batches(4):
                loss = m.loss(F.cross_entropy(model(x), y), y)
                if scaler is None:
                    loss.backward()
                    optimizer.step()
                else:
                    scaler.scale(loss).backward()
                    scaler.step(optimizer)
                    scaler.update()
                optimizer.zero_grad()
        return {name: found.ratio for name, found in gradients(m).items()}

    plain, scaled = ratios(None), ratios(torch.amp.GradScaler("cpu", init_scale=2.0**12))
    assert plain.keys() == scaled.keys()
    assert scaled == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_scaler_skips_is_no_finding(fused: bool) -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    with Monitor(model, optimizer, every=1) as m:
        for x, y in batches(2):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = m.loss(F.cross_entropy(model(x).float(), y), y)
            scaler.scale(loss).backward()
            gradient = model.get_parameter("0.weight").grad
            assert gradient is not None
            gradient[0, 0] = torch.inf
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    assert not codes(m, Severity.ERROR)


def test_accumulated_gradients_are_those_of_all_batches() -> None:
    model = network()
    optimizer = sgd(model, lr=0.0)
    with Monitor(model, optimizer, every=1) as m:
        train(m, model, optimizer, 1, accumulate=4)
    pairs = list(batches(4))
    x, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    wanted = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
    for (name, _), gradient in zip(model.named_parameters(), wanted, strict=True):
        assert gradients(m)[name].norm == pytest.approx(float(gradient.norm()), rel=1e-4)
    assert m.report().model.samples == 512
    assert m.step == 1


def test_a_compiled_module_is_watched() -> None:
    model = network()
    compiled: Any = torch.compile(model, backend="eager")
    optimizer = sgd(model)
    with Monitor(compiled, optimizer, every=5) as m:
        train(m, model, optimizer, 5, called=compiled)
    assert m.report().model.mode == "graph"
    assert m.report().model.samples == 512


def test_a_module_compiled_in_place_is_watched_through_what_is_passed_on() -> None:
    model = network()
    optimizer = sgd(model)
    model.compile(backend="eager")
    with Monitor(model, optimizer, every=5) as m:
        for x, y in batches(5):
            m.loss(F.cross_entropy(model(x), y), y, x).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert m.report().model.samples == 512
    with Monitor(model, optimizer, every=5) as m:
        train(m, model, optimizer, 5)
    (note,) = [note for note in m.report().model.notes if "judged" in note]
    assert "pass inputs on with m.loss(loss, targets, inputs)" in note


class Named(nn.Module):
    """Takes its input and labels by name, and returns a loss, as Hugging Face networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, features: Any, scale: float = 1.0, labels: Any = None) -> dict[str, Any]:
        logits = self.inner(features * scale)
        found = {"logits": logits}
        return found if labels is None else {"loss": F.cross_entropy(logits, labels), **found}


def test_losses_and_labels_that_the_network_itself_handles_are_noted() -> None:
    model = Named()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=10) as m:
        for x, y in batches(30):
            model(features=x, scale=1.0, labels=y)["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
    report = m.report()
    assert report.model.accuracy is not None
    assert len(m._watch.losses.blocks) == 3
    assert report.model.mode == "graph"
    assert {layer.name for layer in report.layers} == {"inner.0", "inner.2", "inner.4"}
    assert sum(m._watch.labels.counts.values()) > 0


class Tokens(nn.Module):
    """Averages token vectors, however many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.embedding(tokens).mean(1))


def test_sequences_may_vary_in_length() -> None:
    model = Tokens()
    optimizer = sgd(model)
    rng = torch.Generator().manual_seed(0)
    with Monitor(model, optimizer, every=2) as m:
        for step in range(6):
            tokens = torch.randint(0, 11, (128, 5 + step), generator=rng)
            y = tokens[:, 0] % 3
            m.loss(F.cross_entropy(model(tokens), y), y).backward()
            optimizer.step()
    assert not any("failed" in note for note in m.report().model.notes)
    assert m.report().model.samples == 128  # those as long as the last


def test_state_goes_on_where_it_was(tmp_path: Path) -> None:
    def run(split: bool) -> Monitor:
        model = network()
        with torch.no_grad():
            model.get_parameter("0.bias")[:24] = -100
        optimizer = sgd(model)
        m = Monitor(model, optimizer, every=5)
        for part in range(2):
            if part and split:
                torch.save(m.state_dict(), tmp_path / "state.pt")
                m = Monitor(model, optimizer, every=5)
                m.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
            with m:
                train(m, model, optimizer, 40)
                m.validation(0.5, 0.9)
        return m

    whole, resumed = run(split=False), run(split=True)
    assert resumed.step == 80
    assert resumed.findings == whole.findings
    assert repr(resumed.state_dict()) == repr(whole.state_dict())  # NaN is not equal to itself


@pytest.mark.parametrize(("lr", "is_found"), [(3e-3, False), (3.0, True)])
def test_the_first_step_is_measured_once(lr: float, is_found: bool) -> None:
    model, twin = network(), network()
    with torch.no_grad():
        model.get_parameter("4.bias").zero_()
        twin.get_parameter("4.bias").zero_()
    optimizers = [torch.optim.Adam(net.parameters(), lr=lr) for net in (model, twin)]
    before = {name: value.detach().clone() for name, value in twin.named_parameters()}
    ((x, y),) = batches(1)
    F.cross_entropy(twin(x), y).backward()
    optimizers[1].step()
    ratios = {
        name: float((value.detach() - before[name]).norm() / before[name].norm())
        for name, value in twin.named_parameters()
        if name != "4.bias"  # it was zero
    }
    with Monitor(model, optimizers[0], every=10) as m:
        train(m, model, optimizers[0], 10)
        assert m._watch.training().first_updates == pytest.approx(ratios)
        assert len(m._watch.updates.latest["0.weight"]) == 1
        assert ("TRN005" in codes(m)) is is_found
        train(m, model, optimizers[0], 10)
        assert m._watch.training().first_updates == pytest.approx(ratios)


def test_the_report_is_written_in_the_format_of_its_file(tmp_path: Path) -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("0.bias")[:] = -100
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=10, output=tmp_path / "r.json") as m:
        train(m, model, optimizer, 10)
    stored = load((tmp_path / "r.json").read_text())
    assert {f.code for f in stored.findings} == {f.code for f in m.report().findings}
    page = render_report(m.report(), "html")
    assert "ACT001" in page
    assert json.loads(render_report(m.report(), "sarif"))["runs"]


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    model = network()
    optimizer = sgd(model)
    m = Monitor(model, optimizer, every=5, output=tmp_path / "r.txt")
    with pytest.raises(KeyboardInterrupt), m:
        raise KeyboardInterrupt
    assert "Interrupted: this report is partial" in (tmp_path / "r.txt").read_text()


def test_before_the_first_look_nothing_is_claimed() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer) as m:
        train(m, model, optimizer, 7)
    assert m.report().inconclusive == "no look yet: 7 steps were taken, the first is after 100"
    assert not m.report().checked


def test_stop_ends_the_block_and_only_warnings_count() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=5, on="dead-relu", do="stop") as m:
        train(m, model, optimizer, 5)
        with torch.no_grad():
            model.get_parameter("0.bias")[:] = -100
        train(m, model, optimizer, 50)
        pytest.fail("training went on")
    assert m.step == 10
    assert m.stopped == "step 10: training was stopped because of ACT001 in 0"
    assert m.stopped in m.report().model.notes
    assert not m.report().interrupted


def test_the_learning_rate_is_lowered_once_and_again_after_three_looks() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("0.bias")[:] = -100
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1))
    rates = []
    with Monitor(model, optimizer, every=4, on=["ACT001"], do="lower-lr") as m:
        for _ in range(4):
            train(m, model, optimizer, 4)
            rates.append(float(optimizer.param_groups[0]["lr"]))
    assert rates == pytest.approx([0.05, 0.05, 0.05, 0.025])
    assert any("lowered to 0.05 because of ACT001 in 0" in n for n in m.report().model.notes)


def test_a_function_is_given_the_finding() -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("0.bias")[:] = -100
    optimizer = sgd(model)
    found: list[Finding] = []
    with Monitor(model, optimizer, every=2, on="ACT", do=found.append) as m:
        train(m, model, optimizer, 4)
    assert {f.layer for f in found if f.code == "ACT001"} >= {"0"}
    assert len(found) == len({(f.code, f.layer) for f in found})
