"""Polynomials fitted to what a layer reads, limits, and settings, and what the outputs take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnrepair.errors import DataError, SettingError
from dnnrepair.swap_report import Promise
from tests.swapping.small import answer, applied, inputs_of, network, reference


def chain() -> list[nn.Module]:
    return [nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3)]


def by_hand(x: Tensor, tensors: dict[str, Tensor], hidden: np.polynomial.Polynomial) -> Tensor:
    """Return what the chain answers with a polynomial in place of its ReLU."""
    z = x @ tensors["0.weight"].T + tensors["0.bias"]
    first = torch.from_numpy(hidden(z.numpy()))
    second = (first @ tensors["2.weight"].T + tensors["2.bias"]).tanh()
    return second @ tensors["4.weight"].T + tensors["4.bias"]


def test_a_polynomial_is_the_one_that_numpy_fits_and_the_outputs_say_what_it_costs() -> None:
    subject = network(chain())
    found = applied(subject, "activation", "0", new="polynomial", settings="degree=5")
    (swap,) = found.swaps
    x = inputs_of(subject).double()
    tensors = {name: value.double() for name, value in subject.tensors.items()}
    z = (x @ tensors["0.weight"].T + tensors["0.bias"]).numpy()
    known = np.polynomial.Polynomial.fit(z.reshape(-1), np.maximum(z, 0).reshape(-1), 5)
    expected = by_hand(x, tensors, known)
    got = answer(found.subject, inputs_of(subject)).double()
    old = answer(subject, inputs_of(subject)).double()
    scale = float(old.abs().max())
    assert float((got - expected).abs().max()) < 1e-3 * scale
    assert swap.promise is Promise.CLOSEST
    assert "degree 5, least-squares, on [" in swap.reason
    assert swap.difference is not None
    assert swap.difference.relative == pytest.approx(float((got - old).abs().max()) / scale)
    mean = float((got - old).square().mean().sqrt()) / scale
    assert swap.difference.typical == pytest.approx(mean)
    assert 0 < swap.difference.typical < swap.difference.relative


def test_a_higher_degree_costs_the_outputs_less() -> None:
    subject, costs = network(chain()), []
    for settings in ("degree=2", "degree=8", "degree=24"):
        (swap,) = applied(
            subject, "activation", "0", old="relu", new="polynomial", settings=settings
        ).swaps
        assert swap.difference is not None
        costs.append(swap.difference.relative)
    assert costs[0] > costs[1] > costs[2] > 0


def test_pann_takes_as_many_bits_as_asked_on_the_range_that_is_seen() -> None:
    subject = network(chain())
    for bits in (5, 9):
        found = applied(subject, "activation", "0", new="pann", settings=f"precision={bits}")
        (swap,) = found.swaps
        x = inputs_of(subject)
        z = x @ subject.tensors["0.weight"].T + subject.tensors["0.bias"]
        bound = 1.2 * float(z.abs().max())
        assert f"on [{-bound:.3g}, {bound:.3g}]" in swap.reason
        (stages,) = [v for name, v in found.subject.tensors.items() if name.endswith("stages")]
        assert len(stages) >= 1
        largest = float(swap.reason.rpartition("the mean, ")[2].split()[0])
        assert largest <= bound * 2**-bits * 1.01


def test_polynomials_take_the_place_of_any_activation_pann_of_relu_only() -> None:
    subject = network(chain())
    (swap,) = applied(
        subject, "activation", "2", new="polynomial", settings="degree=9,norm=minimax"
    ).swaps
    assert "degree 9, minimax" in swap.reason
    assert swap.settings[2:] == ("degree = 9", "norm = minimax")
    with pytest.raises(SettingError, match="2: pann takes the place of relu, not of tanh; take po"):
        applied(subject, "activation", "2", new="pann")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("degree=0", "degree takes numbers from 1 to 63, not 0"),
        ("degree=two", "degree takes a whole number, not 'two'"),
        ("degre=3", "polynomial has no setting 'degre' here; did you mean 'degree'"),
        ("norm=L3", "norm takes least-squares or minimax, not 'L3'"),
        ("degree", "polynomial,degree: write settings as name=value"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        applied(network(chain()), "activation", "0", new="polynomial", settings=settings)


def test_without_data_no_polynomial_is_fitted() -> None:
    from dataclasses import replace

    bare = replace(network(chain()), samples=None)
    with pytest.raises(DataError, match=r"no polynomial equals relu, .* give data with --data"):
        applied(bare, "activation", "0", new="polynomial")


def test_settings_are_kept_where_the_exact_graft_has_others() -> None:
    subject = network(chain())
    exact = applied(subject, "activation", "0", new="leaky_relu", settings="negative_slope=0")
    assert exact.swaps[0].promise is Promise.EXACT
    others = applied(subject, "activation", "0", new="ensemble", settings="others=gelu+tanh")
    assert others.swaps[0].promise is Promise.EXACT
    assert others.subject.tensors["layer_0_ensemble.weight"][:, 0].tolist() == [1, 0, 0]
    near = applied(subject, "activation", "0", new="leaky_relu", settings="negative_slope=0.2")
    assert near.swaps[0].promise is Promise.CLOSEST
    plain = applied(
        subject, "activation", "0", new="leaky_relu", settings="negative_slope=0.2", mode="plain"
    )
    z = inputs_of(subject) @ subject.tensors["0.weight"].T + subject.tensors["0.bias"]
    hidden = torch.nn.functional.leaky_relu(z, 0.2)
    second = (hidden @ subject.tensors["2.weight"].T + subject.tensors["2.bias"]).tanh()
    expected = second @ subject.tensors["4.weight"].T + subject.tensors["4.bias"]
    assert torch.allclose(answer(plain.subject, inputs_of(subject)), expected, atol=1e-5)


@pytest.mark.parametrize("new", ["swish", "gelu", "softplus"])
def test_a_limit_is_nearer_the_sharper_it_is(new: str) -> None:
    subject, costs = reference("mlp-relu"), []
    for sharpness in (5.0, 50.0):
        (swap,) = applied(subject, "activation", new=new, mode="limit", sharpness=sharpness).swaps
        assert swap.promise is Promise.CLOSEST
        assert f"at sharpness {sharpness:g}, off by" in swap.reason
        assert swap.difference is not None
        costs.append(swap.difference.relative)
    assert costs[0] > 5 * costs[1] > 0


def test_a_limit_that_is_not_known_is_refused() -> None:
    subject = network(chain())
    with pytest.raises(SettingError, match="0: no tanh tends to relu; take it without --limit"):
        applied(subject, "activation", "0", new="tanh", mode="limit")
    with pytest.raises(SettingError, match="--limit chooses the settings of swish; leave beta"):
        applied(subject, "activation", "0", new="swish", mode="limit", settings="beta=3")


def test_straight_pieces_are_swapped_for_each_other_exactly() -> None:
    layers = [nn.Linear(6, 12), nn.ReLU6(), nn.Linear(12, 12), nn.Hardsigmoid(), nn.Linear(12, 3)]
    subject = network(layers)
    for where, new in (("0", "hardtanh"), ("2", "hardtanh")):
        (swap,) = applied(subject, "activation", where, new=new).swaps
        assert swap.promise is Promise.EXACT, swap
