"""What enters the last layer, for every kind of end that a network may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from dnnrepair.errors import DataError, ModelError, SettingError
from dnnrepair.methods.heads import Head
from dnnrepair.methods.rows import Rows, rows_of
from dnnrepair.models import build
from dnnrepair.splitting import in_memory
from dnnrepair.subject import subject_of, subject_of_reference

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.subject import Subject

TOKENS, CLASSES = 5, 3


class Ending(nn.Module):
    """A body, a last layer, and what follows it."""

    def __init__(self, after: str = "", *, tokens: bool = False, width: int = CLASSES) -> None:
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head = nn.Linear(6, width)
        self.after, self.tokens = after, tokens

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(x).tanh())
        if self.after == "softmax":
            return y.softmax(-1)
        if self.after == "log-softmax":
            return y.log_softmax(-1)
        if self.after == "sigmoid":
            return y.sigmoid().squeeze(-1)
        if self.after == "squeeze":
            return y.squeeze(-1)
        if self.after == "channels":
            return y.transpose(1, 2)
        if self.after == "last":
            return y[:, -1]
        if self.after == "doubled":
            return y.reshape(y.shape) * 2
        return y


class Product(nn.Module):
    """A last layer written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, CLASSES))
        self.shift = nn.Parameter(torch.randn(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.shift, x.tanh(), self.matrix)


class Tied(nn.Module):
    """A language model whose last layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 6)
        self.head = nn.Linear(6, CLASSES, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.embedding(x).tanh())
        return y


def tabled(
    net: nn.Module, *, tokens: bool = False, classes: int = CLASSES, ignored: int = 0
) -> Subject:
    """Return a network with 20 inputs, of which the first have tokens whose label is ignored."""
    rng = torch.Generator().manual_seed(0)
    shape = (20, TOKENS) if tokens else (20,)
    x, y = torch.randn(*shape, 4, generator=rng), torch.randint(0, classes, shape, generator=rng)
    if ignored:
        y[:ignored, 2] = -100
    return subject_of(net.eval(), (x, y), task="classify")


def seen(subject: Subject, head: Head | None = None) -> Rows:
    return rows_of(subject, in_memory(subject.samples), head or Head.of(subject))


def check_changes(subject: Subject, prediction_of_logits: str = "") -> Rows:
    """Make sure that a change does to the network what it does to the rows."""
    head = Head.of(subject)
    rows = seen(subject, head)
    shape = head.matrix(subject.tensors).shape
    change = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    tensors = head.changed(subject.tensors, change)
    assert subject.program is not None
    prediction = subject.program.run(in_memory(subject.samples).inputs, tensors=tensors)
    logits = rows.outputs(change)
    if prediction_of_logits == "softmax":
        logits = logits.softmax(-1)
    elif prediction_of_logits == "log-softmax":
        logits = logits.log_softmax(-1)
    elif prediction_of_logits == "sigmoid":
        logits = logits.sigmoid()
    elif prediction_of_logits == "channels":
        prediction = prediction.transpose(1, 2)
    assert torch.allclose(prediction.reshape(logits.shape), logits, atol=1e-4)
    return rows


@pytest.mark.parametrize("after", ["", "softmax", "log-softmax"])
def test_logits_are_seen_through_what_makes_probabilities(after: str) -> None:
    rows = check_changes(tabled(Ending(after)), after)
    assert rows.features.shape == (20, 7)
    assert rows.labeled


@pytest.mark.parametrize("after", ["sigmoid", "squeeze", ""])
def test_one_output_for_two_classes(after: str) -> None:
    rows = check_changes(tabled(Ending(after, width=1), classes=2), after)
    assert rows.base.shape == (20, 1)


@pytest.mark.parametrize("after", ["", "channels"])
def test_every_token_is_a_row(after: str) -> None:
    subject = tabled(Ending(after, tokens=True), tokens=True)
    rows = check_changes(subject, after)
    assert rows.features.shape == (20 * TOKENS, 7)
    assert rows.owner.tolist() == [i // TOKENS for i in range(20 * TOKENS)]
    targets = in_memory(subject.samples).targets
    assert targets is not None
    assert torch.equal(rows.wanted, targets.reshape(-1))


def test_ignored_tokens_are_left_out_and_the_others_share_their_input() -> None:
    rows = seen(tabled(Ending(tokens=True), tokens=True, ignored=3))
    assert len(rows.features) == 20 * TOKENS - 3
    for one in range(20):
        own = rows.share[rows.owner == one]
        assert len(own) == (TOKENS - 1 if one < 3 else TOKENS)
        assert float(own.sum()) == pytest.approx(1)


def test_a_product_written_by_hand_is_a_last_layer() -> None:
    subject = tabled(Product())
    head = Head.of(subject)
    assert head.transposed
    assert head.matrix(subject.tensors).shape == (CLASSES, 5)
    check_changes(subject)


def test_values_are_rows_too() -> None:
    x, y = torch.randn(20, 4), torch.randn(20, CLASSES)
    rows = check_changes(subject_of(Ending().eval(), (x, y), task="regress"))
    assert not rows.labeled
    assert torch.equal(rows.wanted, y)


@pytest.mark.parametrize(
    "kind", ["cnn", "resnet20", "lstm", "gru", "transformer", "tabular", "regressor"]
)
def test_reference_networks_end_in_a_last_layer(kind: str) -> None:
    check_changes(subject_of_reference(build(f"{kind}:init")))


def test_several_changes_at_once_are_each_by_itself() -> None:
    subject = tabled(Ending(tokens=True), tokens=True)
    rows = seen(subject)
    changes = torch.randn(4, 2, CLASSES, 7)
    together = rows.outputs(changes)
    assert together.shape == (20 * TOKENS, 4, 2, CLASSES)
    assert torch.allclose(together[:, 3, 1], rows.outputs(changes[3, 1]), atol=1e-5)


def test_a_bias_that_may_not_change_stays() -> None:
    subject = tabled(Ending())
    head = Head.of(subject, ["head.weight"])
    rows = seen(subject, head)
    assert rows.features.shape == (20, 6)
    assert head.changed(subject.tensors, torch.ones(CLASSES, 6)).keys() == {"head.weight"}
    assert torch.allclose(rows.base, seen(subject).base)


def test_half_precision_keeps_its_type() -> None:
    subject = tabled(Ending())
    own = {
        "head.weight": subject.tensors["head.weight"].half(),
        "head.bias": subject.tensors["head.bias"].half(),
    }
    found = Head.of(subject).changed(own, torch.full((CLASSES, 7), 0.5, dtype=torch.float64))
    for name, value in found.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, (own[name].double() + 0.5).half())


def test_layers_that_may_change_are_respected() -> None:
    with pytest.raises(SettingError, match=r"head\.weight is the weight of the last layer"):
        Head.of(tabled(Ending()), ["body"])
    assert Head.of(tabled(Ending()), ["head"]).bias == "head.bias"


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Linear(4, CLASSES), nn.ReLU()), "ends in relu 0, not in a linear layer"),
        (Ending("doubled"), "ends in mul head, not in a linear layer"),
    ],
)
def test_other_ends_are_refused_by_name(net: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Head.of(tabled(net))


def test_a_layer_that_shares_its_weights_is_refused() -> None:
    x = torch.randint(0, CLASSES, (20, TOKENS))
    with pytest.raises(ModelError, match=r"of the last layer, is also read by embedding"):
        Head.of(subject_of(Tied().eval(), (x, x)))


def test_a_prediction_that_leaves_rows_out_is_refused() -> None:
    x, y = torch.randn(20, TOKENS, 4), torch.randint(0, CLASSES, (20,))
    subject = subject_of(Ending("last").eval(), (x, y))
    with pytest.raises((ModelError, DataError)):
        seen(subject)
