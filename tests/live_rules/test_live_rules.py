"""Rules about a run, on runs that were written down by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.training import Training, Update, Validation
from dnnrepair.finding import Finding, Severity, live_rules
from dnnrepair.monitor.losses import Losses, block_of
from dnnrepair.observation import Facts, Observations, Role, Task, TensorInfo
from dnnrepair.probe import Batch
from dnnrepair.probes.predictions import PredictionsProbe

EVERY = 100


def observed(step: int = 1000, **known: Any) -> Observations:
    known = {"updates": {}, "labels": {}, **known}
    return Observations(
        evidence={Training: {"": Training(step=step, **known)}},
        tensors={
            "fc.weight": TensorInfo(name="fc.weight", layer="fc", role=Role.WEIGHT, shape=(3, 4)),
            "fc.bias": TensorInfo(name="fc.bias", layer="fc", role=Role.BIAS, shape=(3,)),
        },
    )


def run_of(losses: Any, every: int = EVERY) -> dict[str, Any]:
    kept = Losses()
    for step, loss in enumerate(losses):
        kept.add(step, float(loss))
        if (step + 1) % every == 0:
            kept.close(step + 1)
    return {"start": kept.start, "blocks": tuple(kept.blocks)}


def found(code: str, seen: Observations) -> list[Finding]:
    return [said for said in live_rules[code]().check(seen) if isinstance(said, Finding)]


def noise(count: int, scale: float, seed: int = 0) -> Any:
    return scale * np.random.default_rng(seed).standard_normal(count)


STEPS = np.arange(1500)
HEALTHY = {
    "falling": 2.3 * np.exp(-STEPS / 300) + 0.05 + 0.05 * np.abs(noise(1500, 1)),
    "noisy": 2.3 * np.exp(-STEPS / 300) + 0.5 + np.abs(noise(1500, 0.8)),
    "at once": np.where(STEPS < 30, 2.3 - STEPS / 15, 0.3) + noise(1500, 0.05),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("code", ["TRN001", "TRN002", "TRN003", "TRN004"])
def test_healthy_losses_are_not_reported(code: str, name: str) -> None:
    for end in range(5, 16):
        seen = observed(**run_of(HEALTHY[name][: end * EVERY]))
        assert not [f for f in found(code, seen) if f.severity is not Severity.NOTE]


@pytest.mark.parametrize(
    ("code", "losses", "severity"),
    [
        ("TRN002", 2.3 + noise(1000, 0.02), Severity.WARNING),
        ("TRN002", 2.3 + STEPS[:1000] / 200, Severity.ERROR),
        ("TRN003", 2.3 - STEPS[:1000] / 20000 + noise(1000, 0.01), Severity.NOTE),
        ("TRN004", 2.3 + 0.8 * (-1.0) ** STEPS[:1000] + noise(1000, 0.1), Severity.WARNING),
        (
            "TRN004",
            2.0 + 0.9 * np.sign(np.sin(STEPS[:1000] * np.pi / 100 + 0.01)),
            Severity.WARNING,
        ),
        ("TRN001", np.where(STEPS[:1000] < 850, 1.0, np.nan), Severity.WARNING),
        ("TRN001", np.where(STEPS[:1000] < 750, 1.0, np.inf), Severity.ERROR),
    ],
)
def test_faulty_losses_are_found(code: str, losses: Any, severity: Severity) -> None:
    (finding,) = found(code, observed(**run_of(losses)))
    assert finding.severity is severity or code == "TRN001"
    assert finding.remedies


@pytest.mark.parametrize(
    ("end", "at_the_look", "is_found"),
    [
        (np.log(10) + noise(1000, 0.02), np.log(10), True),
        (np.log(10) + noise(1000, 0.02), 0.5, False),  # training is hard on purpose
        (0.3 + noise(1000, 0.02), np.log(10), False),  # only the look goes wrong
        (2.9 - STEPS[:1000] / 2000, 2.5, False),  # still falling
    ],
)
def test_a_classifier_that_came_back_to_guessing(
    end: Any, at_the_look: float, is_found: bool
) -> None:
    losses = np.where(STEPS[:1000] < 15, 500.0, end)
    facts = Facts(task=Task.CLASSIFY, classes=10, labeled=True)
    batch = Batch(inputs=(torch.zeros(512, 1),), targets=torch.arange(512) % 10, mask=None)
    predictions = PredictionsProbe().measure_prediction(torch.zeros(512, 10), batch, facts)
    predictions = replace(predictions, loss_sum=512 * at_the_look)
    seen = observed(**run_of(losses))
    seen = replace(
        seen,
        facts=facts,
        evidence={**seen.evidence, Predictions: {"": predictions}},
    )
    findings = found("TRN002", seen)
    assert [f.severity for f in findings] == [Severity.WARNING] * is_found
    assert all("no better than guessing" in f.message for f in findings)


def test_where_losses_stopped_being_finite() -> None:
    losses = np.where(np.arange(1000) < 750, 1.0, np.inf)
    (finding,) = found("TRN001", observed(**run_of(losses)))
    assert (
        finding.message
        == "100 of the last 100 losses are NaN or infinite, the first after 750 steps"
    )


def test_a_block_agrees_with_numpy() -> None:
    values = np.random.default_rng(1).random(200) + np.arange(200) / 50
    block = block_of(values, 200)
    slope, offset = np.polyfit(np.arange(200), values, 1)
    rest = values - slope * np.arange(200) - offset
    assert block.mean == pytest.approx(values.mean())
    assert block.deviation == pytest.approx(rest.std(), rel=0.1)  # a trend does not widen it
    assert block.correlation == pytest.approx(np.corrcoef(rest[1:], rest[:-1])[0, 1], abs=0.02)


def updates(*ratios: float, rate: float = 1.0) -> dict[str, Any]:
    made = tuple(Update(step=100 * i, ratio=r, rate=rate) for i, r in enumerate(ratios, 1))
    return {"updates": {"fc.weight": made, "fc.bias": made}}


@pytest.mark.parametrize(
    ("code", "known", "is_found"),
    [
        ("TRN005", updates(0.5, 0.5, 0.5), True),
        ("TRN005", updates(0.5, 0.01, 0.01), False),
        ("TRN005", updates(0.5, 0.5), False),
        ("TRN006", updates(1e-8, 1e-8, 0.0), True),
        ("TRN006", updates(1e-8, 1e-8, 1e-8, rate=1e-3), False),
        ("TRN006", updates(1e-4, 1e-4, 1e-8), False),
    ],
)
def test_updates(code: str, known: Any, is_found: bool) -> None:
    findings = found(code, observed(**known))
    assert bool(findings) is is_found
    assert all("fc.weight" in f.evidence[0] and "bias" not in f.evidence[0] for f in findings)


@pytest.mark.parametrize(
    ("first", "advice"),
    [({}, "Raise the"), ({"fc.weight": 1e-6}, "Raise the"), ({"fc.weight": 4.0}, "Do not raise")],
)
def test_small_steps_after_a_long_one_are_not_blamed_on_the_learning_rate(
    first: dict[str, float], advice: str
) -> None:
    (finding,) = found("TRN006", observed(first_updates=first, **updates(1e-8, 1e-8, 1e-8)))
    assert finding.remedies[0].advice.startswith(advice)
    assert any("fc.weight 4" in said for said in finding.evidence) is (advice == "Do not raise")


def begun(*ratios: float, looks: int = 0) -> Observations:
    made = tuple(Update(step=100 * look, ratio=0.01) for look in range(1, looks + 1))
    names = [f"{place}.weight" for place in range(len(ratios))]
    seen = observed(
        first_updates=dict(zip(names, ratios, strict=True)), updates=dict.fromkeys(names, made)
    )
    infos = {
        name: TensorInfo(name=name, layer=name[0], role=Role.WEIGHT, shape=(3, 4)) for name in names
    }
    return replace(seen, tensors=infos)


@pytest.mark.parametrize(
    ("ratios", "looks", "is_found"),
    [
        ((4.0, 5.0, 0.01), 1, True),
        ((4.0, 5.0, 0.01), 5, True),
        ((4.0, 5.0, 0.01), 6, False),  # long ago: what came of it is for others to say
        ((4.0, 0.1, 0.1), 1, False),  # one layer that is small on purpose
        ((4.0, 0.1), 1, False),
        ((0.4, 0.4, 0.4), 1, False),  # Adam at 1e-2 on weights drawn at 0.02
    ],
)
def test_a_first_step_that_throws_weights_away(
    ratios: tuple[float, ...], looks: int, is_found: bool
) -> None:
    findings = found("TRN005", begun(*ratios, looks=looks))
    assert bool(findings) is is_found
    for finding in findings:
        assert finding.message.startswith("the first step moved 2 of 3 weights")
        assert finding.measured == 4.0
        assert "group['lr'] /= 40" in (finding.remedies[0].code or "")


def validated(losses: Any, accuracies: Any = None) -> dict[str, Any]:
    accuracies = accuracies or [None] * len(losses)
    made = [
        Validation(step=100 * i, loss=v, accuracy=a)
        for i, (v, a) in enumerate(zip(losses, accuracies, strict=True), 1)
    ]
    return {"validations": tuple(made), **run_of(2.3 * np.exp(-STEPS[:800] / 300))}


@pytest.mark.parametrize(
    ("losses", "accuracies", "severity"),
    [
        ([1.0, 0.5, 0.6, 0.7, 0.8], None, Severity.WARNING),
        ([1.0, 0.5, 0.6, 0.7, 0.8], [0.5, 0.8, 0.81, 0.82, 0.83], Severity.NOTE),
        ([1.0, 0.5, 0.6, 0.7, 0.8], [0.5, 0.8, 0.8, 0.75, 0.7], Severity.WARNING),
        ([1.0, 0.5, 0.6, 0.52, 0.8], None, None),
        ([1.0, 0.9, 0.8, 0.7, 0.6], None, None),
    ],
)
def test_overfit(losses: Any, accuracies: Any, severity: Severity | None) -> None:
    findings = found("TRN007", observed(**validated(losses, accuracies)))
    assert [f.severity for f in findings] == ([severity] if severity else [])


HELD = [0.5, 0.7, 0.8, 0.82, 0.81, 0.83, 0.82, 0.81, 0.8]


@pytest.mark.parametrize(
    ("accuracies", "is_found"),
    [
        ([*HELD, 0.79, 0.78, 0.77, 0.76, 0.75], True),
        ([*HELD, 0.79, 0.80, 0.79, 0.79, 0.78], False),
        ([*HELD, 0.81, 0.82, 0.81, 0.83, 0.75], False),  # once is no fall
        ([0.9, 0.75, 0.88, 0.76, 0.9, 0.74, 0.86, 0.75, 0.85, 0.76, 0.87, 0.74, 0.8, 0.75], False),
    ],
)
def test_accuracy_that_falls_while_the_validation_loss_hardly_rises(
    accuracies: list[float], is_found: bool
) -> None:
    losses = [1.0, 0.8, 0.6, 0.5, *[0.51] * 10]
    findings = found("TRN007", observed(**validated(losses, accuracies)))
    assert [f.severity for f in findings] == [Severity.WARNING] * is_found
    for finding in findings:
        assert finding.message.startswith("validation accuracy was 82.0% and is 76.0%")
        assert finding.measured == pytest.approx(0.06)


def test_a_training_loss_that_only_jitters_is_no_overfitting() -> None:
    """A network that learns nothing answers one class, then another."""
    losses = [2.32, 2.31, 2.302, 2.305, 2.304, 2.306]
    known = validated(losses, [0.15, 0.15, 0.15, 0.05, 0.05, 0.05])
    for seed in range(20):
        guessing = run_of(2.303 + noise(600, 0.02, seed))
        assert not found("TRN007", observed(**{**known, **guessing}))


@pytest.mark.parametrize("told", [math.nan, 0.51])
def test_a_run_that_broke_down_is_no_overfitting(told: float) -> None:
    known = validated([1.0, 0.5, 0.49, *[told] * 4], [0.5, 0.8, 0.82, 0.1, 0.1, 0.1, 0.1])
    losses = np.where(STEPS[:800] < 350, 2.3 * np.exp(-STEPS[:800] / 300), math.nan)
    assert not found("TRN007", observed(**{**known, **run_of(losses)}))
    assert found("TRN001", observed(**{**known, **run_of(losses)}))


def test_one_accuracy_out_of_line_makes_no_warning() -> None:
    losses = [1.0, 0.5, 0.6, 0.7, 0.8, 0.8]
    for accuracies in ([0.5, 0.8, 0.84, 0.8, 0.8, 0.8], [0.5, 0.8, 0.8, 0.8, 0.8, 0.76]):
        (finding,) = found("TRN007", observed(**validated(losses, accuracies)))
        assert finding.severity is Severity.NOTE


def test_a_training_loss_that_rises_too_is_no_overfitting() -> None:
    known = {**validated([1.0, 0.5, 0.6, 0.7, 0.8]), **run_of(0.1 + STEPS[:800] / 100)}
    assert not found("TRN007", observed(**known))


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({0: 500, 1: 480, 2: 100}, None),
        ({0: 900, 1: 480, 2: 10}, Severity.NOTE),
        ({0: 900, 1: 480}, Severity.WARNING),
        ({0: 30, 1: 5, 2: 1}, None),
    ],
)
def test_class_imbalance(labels: Any, severity: Severity | None) -> None:
    findings = found("TRN008", observed(labels=labels, classes=3))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    if severity:
        assert findings[0].measured == 900 / max(labels.get(2, 0), 1)


@pytest.mark.parametrize("code", list(live_rules))
def test_a_run_that_tells_nothing_is_skipped_with_a_reason(code: str) -> None:
    (said,) = live_rules[code]().check(observed(start=math.nan))
    assert not isinstance(said, Finding)
    assert said.reason
