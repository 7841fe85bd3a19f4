"""OUT001 to OUT003, ACT004 at the output, GEN001 and MOD001 against planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.evidence.sketch_logits import SketchLogits
from dnnrepair.finding import Severity
from dnnrepair.observation import Phase
from dnnrepair.rules.class_collapse import ClassCollapse
from dnnrepair.rules.generator_collapse import GeneratorCollapse
from dnnrepair.rules.miscalibration import Miscalibration, best_temperature
from dnnrepair.rules.output_activation import OutputActivation
from dnnrepair.rules.softmax_saturation import SoftmaxSaturation
from dnnrepair.rules.stochastic_inference import StochasticInference

CLASSES = 6


def data(samples: int = 600, shares: tuple[float, ...] | None = None) -> tuple[Tensor, Tensor]:
    """Return points around the axes and which axis."""
    rng = torch.Generator().manual_seed(4)
    weights = torch.tensor(shares or (1.0,) * CLASSES)
    y = torch.multinomial(weights, samples, replacement=True, generator=rng)
    x = 2 * F.one_hot(y, CLASSES).float() + 0.4 * torch.randn(samples, CLASSES, generator=rng)
    return x, y


def good(scale: float = 3.0) -> nn.Sequential:
    """Return a network that classifies these points almost without error."""
    first, last = nn.Linear(CLASSES, CLASSES), nn.Linear(CLASSES, CLASSES)
    with torch.no_grad():
        first.weight.copy_(torch.eye(CLASSES))
        last.weight.copy_(torch.eye(CLASSES) * scale)
        first.bias.zero_()
        last.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), last)


def ending(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(*good(), *more)


@pytest.mark.parametrize(
    ("module", "loss", "severity"),
    [
        (ending(), "cross_entropy", None),
        (ending(nn.LogSoftmax(1)), "nll", None),
        (ending(nn.LogSoftmax(1)), "cross_entropy", None),
        (ending(nn.Softmax(1)), "cross_entropy", Severity.ERROR),
        (ending(nn.Softmax(1)), None, Severity.WARNING),
        (ending(nn.ReLU()), "cross_entropy", Severity.ERROR),
        (ending(nn.Sigmoid()), "cross_entropy", Severity.ERROR),
        (ending(nn.Tanh()), None, Severity.WARNING),
        (ending(), "nll", Severity.ERROR),
        (ending(nn.Softmax(1)), "nll", Severity.ERROR),
        (ending(), "bce", Severity.ERROR),
        (ending(nn.Sigmoid()), "bce", Severity.WARNING),
        (ending(nn.Sigmoid()), "bce_logits", Severity.ERROR),
    ],
)
def test_outputs_against_losses(
    judged: Any, module: nn.Module, loss: str | None, severity: Severity | None
) -> None:
    found, skips = judged(OutputActivation(), module, *data(), loss=loss)
    assert [one.severity for one in found] == ([] if severity is None else [severity])
    assert skips == []


@pytest.mark.parametrize(("shift", "faulty"), [(0.0, True), (8.0, False)])
def test_targets_that_a_relu_cannot_reach(judged: Any, shift: float, faulty: bool) -> None:
    x, _ = data()
    model = nn.Sequential(nn.Linear(CLASSES, 1), nn.ReLU())
    found, _ = judged(OutputActivation(), model, x, x[:, :1] + shift - 1)
    assert [one.severity for one in found] == ([Severity.ERROR] if faulty else [])


@pytest.mark.parametrize(
    "shares", [None, (90.0, 2.0, 2.0, 2.0, 2.0, 2.0), (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)]
)
def test_good_predictions_are_clean_however_labels_are_spread(
    judged: Any, shares: tuple[float, ...] | None
) -> None:
    for rule in (ClassCollapse(), Miscalibration()):
        assert judged(rule, good(), *data(shares=shares)) == ([], [])


@pytest.mark.parametrize(("bias", "severity"), [(2.0, Severity.WARNING), (80.0, Severity.ERROR)])
def test_a_large_bias_collapses_and_the_remedy_undoes_it(
    judged: Any, bias: float, severity: Severity
) -> None:
    model = good(1.0)
    with torch.no_grad():
        model[2].bias[3] = bias  # type: ignore[operator]
    (found,), _ = judged(ClassCollapse(), model, *data())
    assert found.severity is severity
    assert found.units == (3,)
    exec(found.remedies[0].code, {"model": model})
    assert judged(ClassCollapse(), model, *data()) == ([], [])


def test_constant_outputs_are_an_error_also_in_regression(judged: Any) -> None:
    model = nn.Linear(CLASSES, 1)
    nn.init.zeros_(model.weight)
    x, _ = data()
    (found,), _ = judged(ClassCollapse(), nn.Sequential(model), x, x[:, :1])
    assert found.severity is Severity.ERROR
    assert "the same for all 600 rows" in found.message


def test_untrained_unlabeled_and_few_are_skipped(judged: Any) -> None:
    x, y = data()
    for rule in (ClassCollapse(), Miscalibration()):
        for reply in (
            judged(rule, good(), x, y, phase=Phase.INIT),
            judged(rule, good(), x),
            judged(rule, good(), x[:50], y[:50]),
        ):
            assert reply[0] == []
            assert len(reply[1]) == 1


def noisy_labels() -> tuple[Tensor, Tensor]:
    x, y = data()
    rng = torch.Generator().manual_seed(9)
    drawn = torch.randint(0, CLASSES, y.shape, generator=rng)
    return x, torch.where(torch.rand(y.shape, generator=rng) < 0.4, drawn, y)


def test_over_confidence_and_its_temperature(judged: Any) -> None:
    model, (x, y) = good(8.0), noisy_labels()
    (found,), _ = judged(Miscalibration(), model, x, y)
    assert found.severity is Severity.WARNING
    assert found.message.startswith("over-confident")
    before = model(x).detach()
    exec(found.remedies[0].code, {"model": model})
    after = model(x).detach()
    assert torch.equal(before.argmax(1), after.argmax(1))
    assert F.cross_entropy(after, y) < F.cross_entropy(before, y)
    assert judged(Miscalibration(), model, x, y) == ([], [])


def test_under_confidence_is_a_note(judged: Any) -> None:
    (found,), _ = judged(Miscalibration(), good(0.5), *data())
    assert found.severity is Severity.NOTE
    assert found.message.startswith("under-confident")


def test_the_temperature_is_the_best_of_a_grid() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    scores = log_softmax(rng.normal(size=(300, 5)) + 4 * np.eye(5)[labels], axis=1) * 3
    temperature, before, after = best_temperature(SketchLogits(scores=scores, labels=labels))
    rows = np.arange(300)
    losses = [
        -log_softmax(scores / t, axis=1)[rows, labels].mean() for t in np.geomspace(0.1, 30, 4000)
    ]
    assert after == pytest.approx(min(losses), rel=1e-5)
    assert temperature == pytest.approx(np.geomspace(0.1, 30, 4000)[np.argmin(losses)], rel=1e-2)
    assert before == pytest.approx(-log_softmax(scores, axis=1)[rows, labels].mean())


def test_sure_and_wrong_is_a_warning_sure_and_right_a_note(judged: Any) -> None:
    (right,), _ = judged(SoftmaxSaturation(), good(80.0), *data())
    (wrong,), _ = judged(SoftmaxSaturation(), good(80.0), *noisy_labels())
    assert (right.severity, wrong.severity) == (Severity.NOTE, Severity.WARNING)
    assert judged(SoftmaxSaturation(), good(1.0), *data()) == ([], [])


def make(generate: Callable[[Tensor], Tensor]) -> nn.Module:
    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)
            with torch.no_grad():
                self.fc.weight.copy_(torch.eye(8))
                self.fc.bias.zero_()

        def forward(self, x: Tensor) -> Tensor:
            return generate(self.fc(x))

    return Generator()


@pytest.mark.parametrize(
    ("generate", "severity"),
    [
        (lambda z: z, None),
        (lambda z: 0.5 * z, Severity.WARNING),
        (lambda z: 0.1 * z, Severity.ERROR),
        (lambda z: (z > 2).float() * 3, Severity.ERROR),  # most samples alike
        (lambda z: z * torch.tensor([2.2] + [0.02] * 7), Severity.ERROR),  # one direction
    ],
)
def test_generators(
    judged: Any, generate: Callable[[Tensor], Tensor], severity: Severity | None
) -> None:
    rng = torch.Generator().manual_seed(3)
    z, real = torch.randn(2, 512, 8, generator=rng)
    found, _ = judged(GeneratorCollapse(), make(generate), z, real, task="generate")
    assert [one.severity for one in found] == ([] if severity is None else [severity])
    for one in found:
        space: dict[str, Any] = {}
        exec(one.remedies[0].code, space)
        assert torch.isfinite(space["energy"](z, real))


def test_a_generator_without_real_samples_is_skipped(judged: Any) -> None:
    found, skips = judged(
        GeneratorCollapse(), make(lambda z: z), torch.randn(64, 8), task="generate"
    )
    assert found == []
    assert "real samples" in skips[0].reason


class Random(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.last = nn.Linear(CLASSES, 12), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        if self.how == "dropout":
            x = F.dropout(x, 0.3, training=True)
        if self.how == "right":
            x = F.dropout(x, 0.3, training=self.training)
        if self.how == "noise":
            x = x + 0.1 * torch.randn_like(x)
        y: Tensor = self.last(x)
        return y


@pytest.mark.parametrize("how", ["dropout", "noise"])
def test_random_inference_is_an_error_and_leaves_the_random_state(judged: Any, how: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    torch.random.set_rng_state(before)
    module = Random(how)
    before = torch.random.get_rng_state()
    (found,), _ = judged(StochasticInference(), module, *data())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert found.severity is Severity.ERROR
    assert found.layer == "first"
    assert "test_output_rules.py" in found.where
    assert how[:4] in found.message or "randn" in found.message


def test_dropout_that_knows_the_mode_is_clean(judged: Any) -> None:
    assert judged(StochasticInference(), Random("right"), *data()) == ([], [])


class Language(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.embedding, self.head = nn.Embedding(20, 16), nn.Linear(16, 20)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens).unsqueeze(1)
        x = F.scaled_dot_product_attention(x, x, x, is_causal=self.causal).squeeze(1)
        y: Tensor = self.head(x)
        return y


@pytest.mark.parametrize("causal", [True, False])
def test_looking_ahead_is_an_error(judged: Any, causal: bool) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(0, 20, (128, 9))
    found, skips = judged(StochasticInference(), Language(causal), tokens[:, :-1], tokens[:, 1:])
    assert [one.severity for one in found] == ([] if causal else [Severity.ERROR])
    assert skips == []


def test_tagging_may_look_ahead(judged: Any) -> None:
    tokens = torch.randint(0, 20, (128, 8))
    labels = torch.randint(0, 20, (128, 8))
    assert judged(StochasticInference(), Language(causal=False), tokens, labels) == ([], [])


def test_predictions_that_are_not_finite_are_left_to_num001(judged: Any) -> None:
    model = good()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan  # type: ignore[operator]
    for rule in (OutputActivation(), ClassCollapse(), Miscalibration()):
        found, (skip,) = judged(rule, model, *data())
        assert found == []
        assert "not finite" in skip.reason
    for other in (SoftmaxSaturation(), StochasticInference()):
        assert judged(other, model, *data())[0] == []
