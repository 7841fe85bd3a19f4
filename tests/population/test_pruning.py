"""Inputs that bounds settle, and candidates that cannot win: left out, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dnnrepair.errors import SettingError
from dnnrepair.evolve.box import Box, arachne_box
from dnnrepair.evolve.driver import search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.stopping import Stopping
from dnnrepair.fitness import Arachne, Margin, Regression
from dnnrepair.models import build
from dnnrepair.population import EvaluatorSettings, Place, prepare
from dnnrepair.subject import Subject, subject_of, subject_of_reference

if TYPE_CHECKING:
    from dnnrepair.fitness import Fitness

LAYER = "layers.2.weight"


@dataclass(frozen=True)
class Trained:
    """A trained network, five weights of a hidden layer, Arachne's box around them."""

    subject: Subject
    places: tuple[Place, ...]
    box: Box
    fitness: Arachne
    count: int

    def evaluator(self, *, boxed: bool, fitness: Fitness | None = None, **options: Any) -> Any:
        box = (self.box.low, self.box.high) if boxed else None
        chosen = EvaluatorSettings(box=box, **{"block": 64, **options})
        samples: Any = self.subject.samples
        return prepare(self.subject, self.places, samples, fitness or self.fitness, chosen)

    def values(self, seed: int, count: int) -> Tensor:
        """Return candidates in the box, half of them its corners."""
        rng = torch.Generator().manual_seed(seed)
        share = torch.rand(count, len(self.places), generator=rng)
        share[::2] = share[::2].round()
        low, high = self.box.low, self.box.high
        return torch.where(share == 1, high, low + share * (high - low))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    reference = build("mlp-relu", cache=tmp_path_factory.mktemp("weights"))
    subject = subject_of_reference(reference)
    rng = torch.Generator().manual_seed(5)
    rows, columns = torch.randint(64, (2, 5), generator=rng).tolist()
    places = tuple(Place(LAYER, index) for index in zip(rows, columns, strict=True))
    box = arachne_box([subject.tensors[LAYER]], torch.zeros(5, dtype=torch.long))
    count = len(reference.inputs[0])
    return Trained(subject, places, box, Arachne(10 * torch.rand(count, generator=rng)), count)


def test_certain_inputs_are_dropped_and_the_note_counts_them(trained: Trained) -> None:
    evaluator = trained.evaluator(boxed=True)
    (note,) = evaluator.notes
    evaluated = sum(len(block) for block in evaluator.blocks)
    assert note.startswith(f"{trained.count - evaluated} of {trained.count} inputs are right")
    assert evaluated < trained.count / 2


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([{}, {"chunk": 3}, {"block": 599}, {"halvings": 3}]))
def test_a_box_changes_no_bit(trained: Trained, seed: int, options: Any) -> None:
    plain, boxed = (trained.evaluator(boxed=b, **options) for b in (False, True))
    values = trained.values(seed, 20)
    assert torch.equal(plain(values), boxed(values))
    assert torch.equal(plain.verdicts(values), boxed.verdicts(values))


def test_dropped_inputs_are_right_by_the_network_itself(trained: Trained) -> None:
    plain, boxed = (trained.evaluator(boxed=b) for b in (False, True))
    dropped = torch.ones(trained.count, dtype=torch.bool)
    for block in boxed.blocks:
        dropped[block.indices] = False
    assert bool(dropped.any())
    order = torch.cat([block.indices for block in plain.blocks]).argsort()
    labels = torch.cat([block.targets for block in plain.blocks])[order]
    predicted = plain.logits(trained.values(0, 100)).argmax(-1)
    assert bool((predicted == labels)[:, dropped].all())


@pytest.mark.parametrize("labels", [torch.int64, torch.int32, torch.float32])
def test_a_single_logit_stands_against_zero(labels: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    inputs = torch.randn(200, 6)
    with torch.no_grad():
        right = module(inputs)[:, 0] > 0
    wrong = torch.arange(200) % 10 == 0
    targets = (right ^ wrong).to(labels)
    places = [Place("2.weight", (0, 1)), Place("0.weight", (3, 2)), Place("2.bias", (0,))]
    for loss in ("bce_logits", "bce"):
        network = module if loss == "bce_logits" else nn.Sequential(*module, nn.Sigmoid())
        subject = subject_of(network, (inputs, targets), task="classify", loss=loss)
        assert subject.samples is not None
        fitness = Arachne(torch.ones(200))
        plain = prepare(subject, places, subject.samples, fitness)
        box = (plain.originals - 0.2, plain.originals + 0.2)
        boxed = prepare(subject, places, subject.samples, fitness, EvaluatorSettings(box=box))
        values = box[0] + torch.rand(50, 3) * 0.4
        torch.testing.assert_close(plain(values), boxed(values), rtol=1e-7, atol=0)
        assert torch.equal(plain.verdicts(values), boxed.verdicts(values))
        (note,) = boxed.notes
        if loss == "bce":
            assert "a probability" in note
        else:
            assert 20 < int(note.split()[0]) <= 180


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_any_precision_count_alike(trained: Trained, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(1)
    fitness = Arachne(10 * torch.rand(trained.count, generator=rng, dtype=dtype))
    values = trained.values(1, 8)
    plain, boxed = (trained.evaluator(boxed=b, fitness=fitness) for b in (False, True))
    assert torch.equal(plain(values), boxed(values))


def test_a_candidate_outside_the_box_is_refused(trained: Trained) -> None:
    evaluator = trained.evaluator(boxed=True)
    values = trained.values(0, 3)
    values[2, 4] = trained.box.high[4] + 1e-3
    for ask in (evaluator, evaluator.verdicts):
        with pytest.raises(SettingError, match=r"candidate 2 sets .* outside the box"):
            ask(values)
    with pytest.raises(SettingError, match="prepare without box"):
        evaluator.logits(trained.values(0, 3))
    trained.evaluator(boxed=False)(values)  # nothing was dropped for a box


@pytest.mark.parametrize("kind", [Margin, Regression])
def test_a_fitness_of_more_than_verdicts_prunes_nothing(trained: Trained, kind: Any) -> None:
    if kind is Regression:
        targets = torch.randn(30, 3)
        module = nn.Linear(4, 3)
        subject = subject_of(module, (torch.randn(30, 4), targets), task="regress")
        places, box = [Place("weight", (1, 2))], (torch.tensor([-1.0]), torch.tensor([1.0]))
    else:
        subject, places = trained.subject, list(trained.places)
        box = (trained.box.low, trained.box.high)
    samples: Any = subject.samples
    fitness = kind(torch.ones(samples.size))
    evaluator = prepare(subject, places, samples, fitness, EvaluatorSettings(box=box))
    assert evaluator.notes == ["nothing was pruned: this fitness depends on more than verdicts"]
    assert torch.isfinite(evaluator(box[0].unsqueeze(0))).all()


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 3]))
def test_only_what_cannot_reach_its_threshold_is_abandoned(
    trained: Trained, seed: int, boxed: bool, chunk: int | None
) -> None:
    options: dict[str, Any] = {"block": 16, "chunk": chunk, "boxed": boxed}
    values = trained.values(seed, 24)
    evaluator = trained.evaluator(**options)
    assert evaluator.abandons
    exact = trained.evaluator(**options, abandon=False)(values)
    assert torch.equal(evaluator(values), exact)
    rng = torch.Generator().manual_seed(seed)
    threshold = exact[torch.randperm(24, generator=rng)]
    threshold[:3] = torch.tensor([-torch.inf, torch.inf, torch.nan], dtype=torch.float64)
    found = evaluator(values, threshold)
    reaches = ~(exact < threshold)
    assert torch.equal(found[reaches], exact[reaches])
    assert bool((found[~reaches] < threshold[~reaches]).all())
    assert bool((found == -torch.inf).any())  # something was saved
    assert torch.equal(evaluator(values, exact), exact)  # all reach what they are


@pytest.mark.parametrize("weight", [0.1, 0.3, 0.7, 1 / 3])
def test_a_perfect_candidate_reaches_its_own_fitness(weight: float) -> None:
    """Weights are rounded with their terms, mostly up: the bound must be no smaller."""
    torch.manual_seed(0)
    module, inputs = nn.Linear(5, 3), torch.randn(40, 5)
    with torch.no_grad():
        labels = module(inputs).argmax(1)
    subject = subject_of(module, (inputs, labels), task="classify")
    samples: Any = subject.samples
    fitness = Arachne(weight * (1 + torch.rand(40)))
    places, chosen = [Place("bias", (1,))], EvaluatorSettings(block=4)
    evaluator = prepare(subject, places, samples, fitness, chosen)
    values = evaluator.originals.unsqueeze(0)
    exact = evaluator(values)
    assert evaluator.verdicts(values).all()
    assert torch.equal(evaluator(values, exact), exact)


def test_a_search_finds_the_same_however_it_saves_work(trained: Trained) -> None:
    found = []
    for boxed in (False, True):
        for abandon in (False, True):
            evaluator = trained.evaluator(boxed=boxed, abandon=abandon, block=16)
            assert evaluator.abandons is abandon
            result = search(
                Rand1Bin(candidates=20),
                evaluator,
                trained.box,
                [7],
                stopping=Stopping(generations=20),
            )
            found.append((result.best.numpy().tobytes(), result.fitness.tolist()))
    assert found == [found[0]] * 4
