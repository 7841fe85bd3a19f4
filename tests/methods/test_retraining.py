"""The last layer is trained as a plain loop would train it, for each wish by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair.errors import ModelError, SettingError
from dnnrepair.methods.retraining import Training, proposed, retrained
from dnnrepair.methods.rows import Rows
from dnnrepair.progress import silent
from dnnrepair.subject import subject_of
from tests.methods.problems import problem, subject, trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

TRAINING = Training(steps=40, rate=0.01)


def rows(classes: int, *, per_input: int = 1, inputs: int = 30, values: bool = False) -> Rows:
    rng = torch.Generator().manual_seed(3)
    count = inputs * per_input
    wanted = torch.randint(0, max(classes, 2), (count,), generator=rng)
    return Rows(
        features=torch.randn(count, 5, generator=rng),
        base=torch.randn(count, classes, generator=rng),
        wanted=torch.randn(count, classes, generator=rng) if values else wanted,
        owner=torch.arange(inputs).repeat_interleave(per_input),
        inputs=inputs,
    )


def plain_loop(loss: Callable[[Tensor], Tensor], shape: tuple[int, int]) -> Tensor:
    """Return what Adam makes of a loss, its rate falling in a line to nothing."""
    change = torch.zeros(shape, requires_grad=True)
    optimizer = torch.optim.Adam([change], TRAINING.rate)
    for step in range(TRAINING.steps):
        optimizer.param_groups[0]["lr"] = TRAINING.rate * (1 - step / TRAINING.steps)
        optimizer.zero_grad()
        loss(change).backward()
        optimizer.step()
    return change.detach()


def weights_of(given: Rows, weight: float) -> Tensor:
    """Weigh up every third input."""
    return torch.where(given.owner % 3 == 0, weight, 1.0)


def by_labels(given: Rows, weight: float, anchor: float) -> Callable[[Tensor], Tensor]:
    """Return cross entropy and Kullback-Leibler divergence, each as torch has them."""

    def loss(change: Tensor) -> Tensor:
        outputs = given.base + given.features @ change.mT
        wide = [
            torch.cat([torch.zeros_like(x), x], 1) if x.shape[1] == 1 else x
            for x in (outputs, given.base)
        ]
        total = torch.zeros(())
        for one in range(given.inputs):  # each is the mean of its rows
            own = given.owner == one
            now, was = (x[own].log_softmax(1) for x in wide)
            entropy = F.cross_entropy(wide[0][own], given.wanted[own], reduction="none")
            apart = F.kl_div(now, was, reduction="none", log_target=True).sum(1)
            total = total + (weights_of(given, weight)[own] * entropy + anchor * apart).mean()
        return total / given.inputs

    return loss


def by_values(given: Rows, weight: float, anchor: float) -> Callable[[Tensor], Tensor]:
    def loss(change: Tensor) -> Tensor:
        outputs = given.base + given.features @ change.mT
        errors = (outputs - given.wanted).square().mean(1)
        apart = (outputs - given.base).square().mean(1)
        return (weights_of(given, weight) * errors + anchor * apart).mean()

    return loss


def together(given: Rows, wishes: list[tuple[float, float]]) -> Tensor:
    weights = torch.stack([weights_of(given, weight) for weight, _ in wishes])
    anchors = torch.tensor([anchor for _, anchor in wishes])
    return retrained(given, weights, anchors, TRAINING, silent)


@pytest.mark.parametrize("weight_and_anchor", [(5.0, 0.0), (2.0, 3.0), (0.0, 1.0)])
@pytest.mark.parametrize(
    "given",
    [rows(4), rows(1), rows(3, per_input=4, inputs=12)],
    ids=["classes", "one logit", "tokens"],
)
def test_labels_are_trained_as_in_a_plain_loop(
    given: Rows, weight_and_anchor: tuple[float, float]
) -> None:
    (found,) = together(given, [weight_and_anchor])
    loss = by_labels(given, *weight_and_anchor)
    wanted = plain_loop(loss, (given.base.shape[1], 5))
    assert float(wanted.abs().max()) > 0.01
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("weight_and_anchor", [(5.0, 0.0), (2.0, 3.0)])
def test_values_are_trained_as_in_a_plain_loop(weight_and_anchor: tuple[float, float]) -> None:
    given = rows(2, values=True)
    (found,) = together(given, [weight_and_anchor])
    wanted = plain_loop(by_values(given, *weight_and_anchor), (2, 5))
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("values", [False, True])
def test_wishes_do_not_feel_each_other(values: bool) -> None:
    given = rows(3, values=values)
    wishes = [(1.0, 0.0), (20.0, 0.5), (3.0, 10.0)]
    for wish, change in zip(wishes, together(given, wishes), strict=True):
        torch.testing.assert_close(change, together(given, [wish])[0], atol=1e-5, rtol=1e-4)


def test_the_stronger_the_anchor_the_less_the_outputs_move() -> None:
    given = rows(4)
    moved = [
        float((given.outputs(change) - given.base).abs().mean())
        for change in together(given, [(5.0, 0.0), (5.0, 10.0), (5.0, 1e5)])
    ]
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 0.01 < moved[0]


def test_errors_that_are_not_to_be_fixed_do_not_matter() -> None:
    given = problem(subject("mlp"), fix="top")
    part = given.search
    others = ~part.targets & ~part.correct
    assert int(others.sum()) > 5
    heavy = part.cost.masked_fill(others, 1e6)
    changed = problem(subject("mlp"), fix="top")
    object.__setattr__(changed.search, "cost", heavy)
    for one, other in zip(
        proposed(given, [(5.0, 1.0)], 10), proposed(changed, [(5.0, 1.0)], 10), strict=True
    ):
        assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_what_errors_cost_matters() -> None:
    given, changed = problem(subject("mlp")), problem(subject("mlp"))
    object.__setattr__(changed.search, "cost", given.search.cost * 5)
    (one,), (other,) = (proposed(p, [(5.0, 1.0)], 10) for p in (given, changed))
    assert not torch.equal(one.tensors["head.weight"], other.tensors["head.weight"])


def test_proposals_hold_the_whole_layer_in_its_own_type() -> None:
    given = problem(subject("mlp"))
    found = proposed(given, [(1.0, 0.0), (2.0, 10.0)], 5)
    assert [one.name for one in found] == ["weight 1, anchor 0", "weight 2, anchor 10"]
    assert found[1].settings == {"weight": 2.0, "anchor": 10.0, "steps": 5}
    for one in found:
        assert one.tensors.keys() == {"head.weight", "head.bias"}
        for name, value in one.tensors.items():
            old = given.subject.tensors[name]
            assert (value.shape, value.dtype) == (old.shape, old.dtype)


def test_a_bias_that_must_stay_does() -> None:
    given = problem(subject("mlp"), layers=("head.weight",))
    (found,) = proposed(given, [(5.0, 0.0)], 5)
    assert found.tensors.keys() == {"head.weight"}


def test_values_end_closer_to_what_is_wanted() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=rng)
    y = (x @ torch.randn(6, 2, generator=rng)).tanh()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = trained(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)), x, y, 30)
    given = problem(subject_of(net, (x, y)), tolerance=0.3)
    assert 4 < int(given.search.targets.sum()) < 90
    (found,) = proposed(given, [(5.0, 0.0)], 100)
    state = net.state_dict() | dict(found.tensors)
    after = torch.func.functional_call(net, state, (x,))
    part = given.search
    (chosen,) = part.samples.inputs
    mask, wanted = part.targets, part.samples.targets
    assert wanted is not None

    def far(outputs: Tensor) -> float:
        return float((outputs - wanted).square().mean(1)[mask].mean())

    assert len(after) == 200
    assert far(torch.func.functional_call(net, state, (chosen,))) < far(net(chosen).detach())


def test_what_it_cannot_do_it_says() -> None:
    given = problem(subject("mlp"), layers=("layers.0",))
    with pytest.raises(SettingError, match=r"not among layers\.0"):
        proposed(given, [(1.0, 0.0)], 5)
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 4, generator=rng), torch.randint(0, 3, (40,), generator=rng)
    tail = problem(subject_of(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (x, y)))
    with pytest.raises(ModelError, match="not in a linear layer"):
        proposed(tail, [(1.0, 0.0)], 5)
