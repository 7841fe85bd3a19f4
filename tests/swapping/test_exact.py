"""What promises to change no output changes none, in every reference network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dnnrepair.errors import SettingError
from dnnrepair.models import names
from dnnrepair.swap_report import Promise
from tests.swapping.small import answer, applied, inputs_of, module_answer, reference

LIMITS = {torch.float32: 1e-5, torch.float64: 1e-10}  # of the issue, relative
SHARED: tuple[tuple[str, dict[str, Any]], ...] = (("norm", {"kind": "batch"}), ("scale-input", {}))
EXACT: dict[torch.dtype, tuple[tuple[str, dict[str, Any]], ...]] = {
    torch.float32: (
        ("activation", {"new": "mish", "mode": "blend"}),
        ("residual-scale", {"scale": 0.2}),
        ("norm", {"kind": "weight"}),
        ("dropout", {"share": 0.3}),
        *SHARED,
    ),
    torch.float64: (
        ("activation", {"new": "taaf"}),
        ("residual-scale", {"scale": 0.3, "per_channel": True}),
        ("norm", {"kind": "layer"}),
        ("norm", {"kind": "rms"}),
        *SHARED,
    ),
}
EVERYWHERE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("fractional-pool", {}),
    ("split", {"count": 2, "share": 0.3}),
    ("add-units", {"count": 3}),
    ("activation", {"old": "relu", "new": "series", "settings": "spatial=true"}),
    ("activation", {"new": "ensemble"}),
    ("norm", {"kind": "mean"}),
    ("scale-input", {"kind": "min-max"}),
)
NONE = {"rnn", "lstm", "gru"}  # one recurrent layer and the last one: nothing of these applies


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "chain", [EXACT, dict.fromkeys(LIMITS, EVERYWHERE)], ids=["first", "second"]
)
def test_operations_that_keep_the_function_keep_it(
    name: str, dtype: torch.dtype, chain: dict[torch.dtype, tuple[tuple[str, dict[str, Any]], ...]]
) -> None:
    before = reference(name, dtype)
    after, done = before, 0
    for operation, settings in chain[dtype]:
        try:
            found = applied(after, operation, **settings)
        except SettingError:
            continue  # this network has no place for it
        assert all(swap.promise is Promise.EXACT for swap in found.swaps), found.swaps
        after, done = found.subject, done + 1
    assert (done > 0) is (name not in NONE)
    x = inputs_of(before)
    old = answer(before, x)
    assert (answer(after, x) - old).abs().max() <= LIMITS[dtype] * old.abs().max()


@pytest.mark.parametrize("name", ["cnn", "resnet20", "transformer", "lstm", "dcgan", "cnn-fmp"])
def test_the_module_is_the_program(name: str) -> None:
    before = reference(name)
    found = applied(before, "init", rule="matched")
    x = inputs_of(before)
    assert torch.equal(module_answer(found, x), answer(found.subject, x))
    module = found.module
    assert set(module.state_dict()) == set(before.state)
    assert all(
        module.get_parameter(name).requires_grad
        for name, info in before.infos.items()
        if info.trainable
    )


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("mlp-relu", "prelu"),
        ("mlp-leaky", "prelu"),
        ("mlp-silu", "swish"),
        ("mlp-silu", "ulu"),
        ("mlp-silu", "aulu"),
        ("mlp-gelu", "xgelu"),
        ("mlp-tanh", "sigmoid"),
        ("mlp-sigmoid", "tanh"),
        ("cnn", "maxout"),
        ("cnn", "lslu"),
        ("cnn", "series"),
        ("cnn", "ensemble"),
        ("mlp-gelu", "ensemble"),
        ("cnn", "rrelu"),
        ("cnn", "elu"),
    ],
)
def test_grafts_of_the_catalogue_are_exact(name: str, new: str) -> None:
    found = applied(reference(name, torch.float64), "activation", new=new)
    (swap,) = found.swaps
    assert swap.promise is Promise.EXACT
    assert swap.difference is not None
    assert swap.difference.relative <= LIMITS[torch.float64]
    assert found.structural


@pytest.mark.parametrize("new", ["lslu", "series"])
def test_convolutions_over_neighbors_come_where_there_are_images(new: str) -> None:
    before = reference("cnn", torch.float64)
    found = applied(before, "activation", new=new, settings="spatial=true")
    (swap,) = found.swaps
    assert swap.promise is Promise.EXACT
    assert swap.difference is not None
    assert swap.difference.relative <= LIMITS[torch.float64]
    kernels = [n for n in found.subject.tensors if n.endswith("neighbors.conv.weight")]
    assert len(kernels) == 2
    assert "without its convolution (fc)" in swap.reason


def test_a_promise_that_is_not_kept_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from dnnrepair.swapping.operations import residual

    monkeypatch.setattr(residual, "tensors_of", lambda *_: ["head.bias"])  # compensates elsewhere
    (swap,) = applied(reference("resnet20"), "residual-scale").swaps
    assert swap.promise is Promise.CHANGES
    assert swap.reason.startswith("exact in theory, but outputs differ by")
