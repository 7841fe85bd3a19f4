"""What a network answers, against its own forward and one comparison per input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dnnrepair.answers import Answers, Examination
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError, ModelError, SettingError
from dnnrepair.loading.loaded import Loaded
from dnnrepair.request import Request
from dnnrepair.subject import assemble, subject_of

if TYPE_CHECKING:
    from dnnrepair.subject import Subject

COUNT = 37


class Tagger(nn.Module):
    """One class for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.table(x).tanh())
        return y


class Rooted(nn.Module):
    """Returns NaN where the first input is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(x) + x[:, :1].sqrt()
        return y


class Masked(nn.Module):
    """Rules classes out by minus infinity: the last, or where the first input is high, all."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.tensor([0.0, 0.0, -math.inf])
        y: Tensor = self.head(x) + out
        return y.masked_fill(x[:, :1] > 1, -math.inf)


def dense(width: int, *more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, width), *more)


def by_classes(prediction: Tensor, labels: Tensor) -> list[bool]:
    """Tell for each input whether no class is ahead of the label, at every labeled place."""
    if prediction.dim() == 4:
        prediction = prediction.movedim(1, -1)
    rows = prediction.reshape(len(labels), -1, prediction.shape[-1]).tolist()
    wanted = labels.reshape(len(labels), -1).tolist()
    return [
        all(row[label] == max(row) for row, label in zip(r, w, strict=True) if label != -100)
        for r, w in zip(rows, wanted, strict=True)
    ]


def by_threshold(threshold: float) -> Any:
    def right(prediction: Tensor, labels: Tensor) -> list[bool]:
        values = prediction.reshape(-1).tolist()
        pairs = zip(values, labels.reshape(-1).tolist(), strict=True)
        return [(value > threshold) == bool(label) for value, label in pairs]

    return right


def within(tolerance: float) -> Any:
    def right(prediction: Tensor, values: Tensor) -> list[bool]:
        return [
            max(abs(a - b) for a, b in zip(p, v, strict=True)) <= tolerance
            for p, v in zip(prediction.tolist(), values.tolist(), strict=True)
        ]

    return right


def build(case: str) -> tuple[nn.Module, Tensor, Tensor, Any, int]:
    """Return a network, inputs, targets, the oracle, and the number of classes."""
    rng = torch.Generator().manual_seed(3)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        x = torch.randn(COUNT, 5, generator=rng)

        def labels(*shape: int, classes: int = 3) -> Tensor:
            return torch.randint(classes, shape, generator=rng)

        if case == "classes":
            return dense(3), x, labels(COUNT), by_classes, 3
        if case == "softmax":
            return dense(3, nn.Softmax(1)), x, labels(COUNT), by_classes, 3
        if case == "logit":
            return dense(1), x, labels(COUNT, classes=2), by_threshold(0), 2
        if case == "probability":
            y = labels(COUNT, 1, classes=2)
            return dense(1, nn.Sigmoid()), x, y, by_threshold(0.5), 2
        if case == "tokens":
            y = labels(COUNT, 4).masked_fill(torch.rand(COUNT, 4, generator=rng) < 0.5, -100)
            return Tagger(), torch.randint(11, (COUNT, 4), generator=rng), y, by_classes, 3
        if case == "pixels":
            image = torch.randn(COUNT, 2, 2, 3, generator=rng)
            net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
            flipped = torch.rand(COUNT, 2, 3, generator=rng) < 0.2
            return net, image, net(image).argmax(1) ^ flipped.long(), by_classes, 2
        net = dense(2)
        values = net(x).detach() + 0.4 * torch.randn(COUNT, 2, generator=rng)
        return net, x, values, within(0.5), 0


CASES = ["classes", "softmax", "logit", "probability", "tokens", "pixels", "values"]


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Any:
    net, x, targets, oracle, classes = build(request.param)
    return subject_of(net.eval(), (x, targets)), net, x, targets, oracle, classes


def asked(subject: Subject, **given: Any) -> Answers:
    assert isinstance(subject.samples, ArraySamples)
    return Examination.of(subject, subject.samples, tolerance=0.5, **given).answers()


def same(one: Answers, other: Answers) -> bool:
    pairs = [(one.correct, other.correct), (one.undefined, other.undefined)]
    if one.labels is not None and one.predicted is not None:
        assert other.labels is not None
        assert other.predicted is not None
        pairs += [(one.labels, other.labels), (one.predicted, other.predicted)]
    return all(torch.equal(a, b) for a, b in pairs)


def test_right_is_what_one_comparison_per_input_says(case: Any) -> None:
    subject, net, x, targets, oracle, classes = case
    found = asked(subject)
    prediction = net(x).detach()
    assert found.correct.tolist() == oracle(prediction, targets)
    assert 0 < int(found.correct.sum()) < len(found) == COUNT
    assert not found.undefined.any()
    assert found.classes == classes
    single = classes > 0 and targets.numel() == COUNT
    assert (found.labels is not None) == (found.predicted is not None) == single
    assert (found.shortage == "") == single
    if found.predicted is not None and found.labels is not None:
        score = prediction.reshape(COUNT, -1)
        middle = 0.5 if float(score.min()) >= 0 else 0.0
        wanted = score.argmax(1) if score.shape[1] > 1 else (score[:, 0] > middle).long()
        assert torch.equal(found.predicted, wanted)
        assert torch.equal(found.labels, targets.reshape(-1))


def test_replaced_parameters_answer_as_the_module_with_them(case: Any) -> None:
    subject, net, x, targets, oracle, _ = case
    names = list(net.state_dict())[-2:]
    rng = torch.Generator().manual_seed(5)
    changed = {
        name: value + torch.randn(value.shape, generator=rng)
        for name, value in net.state_dict().items()
        if name in names
    }
    examination = Examination.of(subject, subject.samples, names=names, tolerance=0.5)
    found = examination.answers(changed)
    assert found.correct.tolist() == oracle(functional_call(net, changed, (x,)), targets)
    assert not torch.equal(found.correct, examination.answers().correct)
    assert same(examination.answers(), asked(subject))  # nothing is left behind


@pytest.mark.parametrize("size", [1, 7, 36, 500])
def test_the_size_of_batches_changes_nothing(case: Any, size: int) -> None:
    subject = case[0]
    assert same(asked(subject, batch_size=size), asked(subject))


def test_a_batch_size_fixed_at_export_changes_nothing() -> None:
    net, x, targets, _, _ = build("classes")
    free = subject_of(net.eval(), (x, targets))
    program = torch.export.export(net, (x[:7],))
    loaded = Loaded(name="net", form="pt2", state=dict(net.state_dict()), exported=program)
    fixed = assemble(loaded, free.samples, Request(model="net"))
    assert fixed.program is not None
    assert fixed.program.batch_size == 7
    assert same(asked(fixed), asked(free))
    assert same(asked(fixed, names=["2.weight"]), asked(free))


def test_where_keeping_values_takes_too_much_memory_the_whole_network_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, x, targets, _, _ = build("classes")
    subject = subject_of(net.eval(), (x, targets))
    assert isinstance(subject.samples, ArraySamples)
    monkeypatch.setattr("dnnrepair.population.tail.MOST", 0)
    examination = Examination.of(subject, subject.samples, names=["2.weight"])
    assert not examination.tail.steps
    assert torch.equal(examination.recorded[0][0], x)
    assert same(examination.answers(), asked(subject))


def test_nan_is_neither_right_nor_a_class() -> None:
    net = Rooted().eval()
    x = torch.randn(COUNT, 5, generator=torch.Generator().manual_seed(0))
    found = asked(subject_of(net, (x, torch.zeros(COUNT, dtype=torch.int64))))
    bad = x[:, 0] < 0
    assert 0 < int(bad.sum()) < COUNT
    assert torch.equal(found.undefined, bad)
    assert not found.correct[bad].any()
    assert found.predicted is not None
    assert (found.predicted[bad] == -1).all()
    assert torch.equal(found.predicted[~bad], net(x[~bad]).argmax(1))


def test_a_class_may_be_ruled_out_but_not_all() -> None:
    x = torch.randn(COUNT, 5, generator=torch.Generator().manual_seed(0))
    found = asked(subject_of(Masked().eval(), (x, torch.zeros(COUNT, dtype=torch.int64))))
    assert torch.equal(found.undefined, x[:, 0] > 1)
    assert not found.correct[found.undefined].any()
    assert found.correct.any()


def test_infinite_values_are_never_within_the_tolerance() -> None:
    net = nn.Linear(5, 1)
    nn.init.constant_(net.weight, 3e38)
    x = torch.ones(4, 5)
    found = asked(subject_of(net, (x, torch.zeros(4, 1))))
    assert found.undefined.all()
    assert not found.correct.any()


def test_at_exact_ties_the_label_wins_and_is_the_answer() -> None:
    net = nn.Linear(5, 3)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    labels = torch.arange(COUNT) % 3
    found = asked(subject_of(net, (torch.ones(COUNT, 5), labels)))
    assert found.correct.all()
    assert found.predicted is not None
    assert torch.equal(found.predicted, labels)


def test_some_of_the_answers() -> None:
    net, x, targets, _, _ = build("classes")
    found = asked(subject_of(net.eval(), (x, targets)))
    places = torch.tensor([5, 2, 30])
    some = found.at(places)
    assert len(some) == 3
    assert torch.equal(some.correct, found.correct[places])
    assert some.classes == 3
    again = found.at(~found.correct)
    assert not again.correct.any()
    assert len(again) == int((~found.correct).sum())
    both = Answers.joined([some, again])
    assert both.labels is not None
    assert both.labels.tolist()[:3] == targets[places].tolist()


def refused(net: nn.Module, targets: Tensor | None, words: str, **given: Any) -> None:
    x = torch.randn(COUNT, 5, generator=torch.Generator().manual_seed(0))
    subject = subject_of(net.eval(), (x, targets) if targets is not None else x, **given)
    assert isinstance(subject.samples, ArraySamples)
    with pytest.raises(DataError, match=words):
        Examination.of(subject, subject.samples).answers()


def test_what_is_neither_right_nor_wrong_is_refused() -> None:
    labels = torch.arange(COUNT) % 3
    refused(dense(3), None, "has no labels")
    refused(dense(3), labels + 1, "labels run from 1 to 3, the network has 3 classes")
    refused(dense(3), labels.masked_fill(labels == 1, -100), "12 inputs have the label -100")
    refused(dense(3), torch.stack([labels, labels], 1), "labels are")
    refused(dense(1), labels / 2, "0.5 is a value, not the number of a class", task="classify")
    refused(dense(3), torch.zeros(COUNT, 2), "targets are")
    refused(dense(3), labels, "generator", task="generate")


def test_a_tolerance_must_be_above_zero_and_the_network_known() -> None:
    net, x, values, _, _ = build("values")
    subject = subject_of(net.eval(), (x, values))
    assert isinstance(subject.samples, ArraySamples)
    with pytest.raises(SettingError, match="tolerance"):
        Examination.of(subject, subject.samples, tolerance=0.0)
    weights = Loaded(name="w", form="state dict", state={"a": torch.ones(2)})
    bare = assemble(weights, subject.samples, Request(model="w"))
    with pytest.raises(ModelError, match="name its factory with --arch"):
        Examination.of(bare, subject.samples)
