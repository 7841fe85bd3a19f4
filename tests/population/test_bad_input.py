"""What cannot be evaluated is refused in one line; what cannot be batched is evaluated slowly."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.errors import DataError, DnnRepairError, ModelError, SettingError
from dnnrepair.fitness import Arachne
from dnnrepair.population import EvaluatorSettings, Place, prepare
from dnnrepair.program import GraphProgram
from dnnrepair.subject import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def ready(
    subject: Subject, places: Sequence[Any], weights: Tensor | None = None, **options: Any
) -> Any:
    samples: Any = subject.samples
    count = samples.size if weights is None else None
    weights = torch.ones(count or 0) if weights is None else weights
    return prepare(subject, places, samples, Arachne(weights), EvaluatorSettings(**options))


def refused(kind: type[DnnRepairError], telling: str, act: Callable[[], object]) -> None:
    with pytest.raises(kind, match=telling) as caught:
        act()
    assert "\n" not in str(caught.value)


PLACE = Place("0.weight", (1, 2))


@pytest.mark.parametrize("index", [(9, 0), (0, 6), (-1, 0), (0, -1), (0,), (0, 0, 0), ()])
def test_a_place_outside_its_tensor(mlp: Any, index: tuple[int, ...]) -> None:
    place = Place("0.weight", index)
    refused(
        SettingError,
        r"lies outside 0.weight, which is \(9, 6\)",
        lambda: ready(mlp.subject, [place]),
    )


def test_no_place(mlp: Any) -> None:
    refused(SettingError, "name at least one weight", lambda: ready(mlp.subject, []))


def test_a_place_named_twice(mlp: Any) -> None:
    twice = [PLACE, Place("0.bias", (0,)), PLACE]
    refused(SettingError, r"0.weight\[1, 2\] is named twice", lambda: ready(mlp.subject, twice))


def test_a_place_named_twice_through_tied_weights(cases: Callable[[str, int], Any]) -> None:
    subject = cases("attention", 23).subject
    names = [n for n in subject.program.tensors if n in ("embedding.weight", "head.weight")]
    if len(names) < 2:  # the export kept one name of the two
        subject = replace(
            subject,
            program=subject.program.with_tensors(
                dict.fromkeys(
                    ("embedding.weight", "head.weight"), subject.program.tensors[names[0]]
                )
            ),
        )
    twice = [Place("embedding.weight", (3, 4)), Place("head.weight", (3, 4))]
    refused(DnnRepairError, "named twice", lambda: ready(subject, twice))


def test_an_unknown_tensor(mlp: Any) -> None:
    unknown = [Place("0.weigth", (1, 2))]
    refused(ModelError, "did you mean '0.weight'", lambda: ready(mlp.subject, unknown))


class Partly(nn.Module):
    """One layer that is not used, one that the prediction does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.aside, self.unused = (nn.Linear(4, 3) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.used(x), self.aside(x)


def small(module: nn.Module, labels: Tensor | None = None, count: int = 12) -> Subject:
    torch.manual_seed(1)
    inputs = torch.randn(count, 4)
    labels = torch.randint(3, (count,)) if labels is None else labels
    return subject_of(module.eval(), (inputs, labels), task="classify")


@pytest.mark.parametrize(
    ("name", "telling"),
    [("unused.bias", "does not use|no parameter"), ("aside.bias", "does not depend")],
)
def test_a_weight_without_effect(name: str, telling: str) -> None:
    subject = small(Partly())
    refused(ModelError, telling, lambda: ready(subject, [Place(name, (0,))]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers(mlp: Any, value: float) -> None:
    evaluator = ready(mlp.subject, [PLACE, Place("0.bias", (0,))])
    values = torch.zeros(3, 2)
    values[1, 1] = value
    for ask in (evaluator, evaluator.verdicts, evaluator.logits):
        refused(SettingError, r"candidate 1 sets 0.bias\[0\] to", partial(ask, values))


@pytest.mark.parametrize(
    ("shape", "telling"), [((0, 1), "population of 0"), ((3, 2), r"\(candidates, 1\) is needed")]
)
def test_populations_of_another_shape(mlp: Any, shape: tuple[int, ...], telling: str) -> None:
    evaluator = ready(mlp.subject, [PLACE])
    for ask in (evaluator, evaluator.verdicts, evaluator.logits):
        refused(SettingError, telling, partial(ask, torch.zeros(shape)))


def test_a_number_of_searches_that_the_fitness_does_not_weigh(mlp: Any) -> None:
    evaluator = ready(mlp.subject, [PLACE], torch.ones(2, 50))
    refused(SettingError, "2", lambda: evaluator(torch.zeros(3, 4, 1)))
    refused(SettingError, "1 searches", lambda: evaluator(torch.zeros(4, 1)))


def test_integers_and_quantized_weights(cases: Callable[[str, int], Any]) -> None:
    subject = cases("convolutions", 23).subject
    program: Any = subject.program
    counter = torch.zeros((), dtype=torch.long)
    counted = replace(subject, program=program.with_tensors({"bn.num_batches_tracked": counter}))
    place = [Place("bn.num_batches_tracked", ())]
    refused(ModelError, "int64, which a search cannot change", lambda: ready(counted, place))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to drop them
        weight = torch.quantize_per_tensor(torch.zeros(3, 64), 0.1, 0, torch.qint8)
    quantized = replace(subject, program=program.with_tensors({"head.weight": weight}))
    refused(ModelError, "qint8", lambda: ready(quantized, [Place("head.weight", (0, 0))]))


def test_layers_quantized_by_torch_which_hold_no_parameters() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to drop them
        packed = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)
    subject = subject_of(packed, (torch.randn(9, 4), torch.zeros(9, dtype=torch.long)))
    refused(ModelError, "quantized", lambda: ready(subject, [Place("2.weight", (0, 0))]))


def test_an_evaluator_is_shown_by_its_sizes(mlp: Any) -> None:
    shown = repr(ready(mlp.subject, [PLACE]))
    assert shown == "BatchedEvaluator(places=1, samples=50, block=50)"


def test_data_without_labels() -> None:
    subject = subject_of(nn.Linear(4, 3), torch.randn(9, 4), task="classify")
    refused(DataError, "the data have none", lambda: ready(subject, [Place("bias", (0,))]))


@pytest.mark.parametrize("label", [3, -1])
def test_labels_out_of_range(label: int) -> None:
    labels = torch.tensor([0, 1, 2, label] * 3)
    subject = small(nn.Linear(4, 3), labels)
    refused(DataError, "3 classes", lambda: ready(subject, [Place("bias", (0,))]))


def test_weights_for_another_number_of_inputs(mlp: Any) -> None:
    telling = "weighs 49 inputs, the data have 50"
    refused(DataError, telling, lambda: ready(mlp.subject, [PLACE], torch.ones(49)))


class Branching(nn.Module):
    """Its way depends on the data, so it cannot be exported."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.one(x) if float(x.sum()) > 1e6 else self.other(x)
        return y


class Overwriting(nn.Module):
    """Writes into a part of a value."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.other(x) * 2
        y[:, 0] = 1.0
        return y


@pytest.mark.parametrize(
    ("make", "note"), [(Branching, "could not be exported"), (Overwriting, "overwrites parts")]
)
def test_what_cannot_be_batched_is_evaluated_one_by_one(make: Any, note: str) -> None:
    torch.manual_seed(0)
    module = make()
    subject = small(module)
    evaluator = ready(subject, [Place("other.weight", (1, 2)), Place("other.bias", (2,))])
    assert any(note in line for line in evaluator.notes)
    values = torch.randn(4, 2)
    samples: Any = subject.samples
    (batch,) = samples.batches(100)
    for row, logits in zip(values, evaluator.logits(values), strict=True):
        with torch.no_grad():
            module.other.weight[1, 2], module.other.bias[2] = row
            wanted = module(batch.inputs[0])
        torch.testing.assert_close(logits, wanted)
        right = wanted.gather(1, batch.targets.unsqueeze(1))[:, 0] >= wanted.amax(1)
        assert torch.equal(evaluator.verdicts(row.unsqueeze(0))[0], right)


@pytest.mark.parametrize("count", [12, 14, 21, 3])
def test_a_network_of_one_batch_size_gets_its_last_block_filled(count: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    subject = small(module, count=count)
    fixed = GraphProgram.of(torch.export.export(module, (torch.randn(7, 4),)))
    assert fixed.batch_size == 7
    place, weights = [Place("0.weight", (1, 2))], torch.linspace(1, 3, count)
    one, other = (ready(s, place, weights) for s in (subject, replace(subject, program=fixed)))
    values = torch.linspace(-2, 2, 6).unsqueeze(1)
    torch.testing.assert_close(other(values), one(values), rtol=2**-20, atol=0)
    torch.testing.assert_close(other.logits(values), one.logits(values))
    assert torch.equal(other.verdicts(values), one.verdicts(values))
