"""Planted faults against what they promise, measured by plain hooks and autograd."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dnnrepair import models
from dnnrepair.models.faults import Strength, faults

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.models.reference import Reference

QUICK = ("mlp-relu", "mlp-tanh", "cnn-bn", "lstm", "layernorm-mlp", "tabular")
CODES = {
    *("NUM001", "NUM002", "DAT001", "MOD001", "INI001", "INI002", "INI003"),
    *("WGT001", "WGT002", "WGT003", "ATT001", "EMB001", "RNN001", "GEN001"),
    *(f"ACT00{n}" for n in range(1, 8)),
    *(f"GRD00{n}" for n in range(1, 5)),
    *(f"BN00{n}" for n in range(1, 6)),
    *("LN001", "RES001", "OUT001", "OUT002", "OUT003"),
}


def graded(weak: float, medium: float, strong: float) -> list[tuple[Strength, float]]:
    return list(zip(Strength, (weak, medium, strong), strict=True))


LIMIT = {Strength.WEAK: 0, Strength.MEDIUM: 1, Strength.STRONG: 2}


@cache
def planted(spec: str) -> Reference:
    return models.build(spec)


def put_out(reference: Reference, name: str) -> Tensor:
    """Return what a layer puts out, ``(rows, units)``."""
    kept: list[Tensor] = []
    layer = reference.module.get_submodule(name)

    def keep(_layer: nn.Module, _given: object, value: Tensor) -> None:
        kept.append(value)

    handle = layer.register_forward_hook(keep)
    with torch.no_grad():
        reference.module(*reference.inputs)
    handle.remove()
    (value,) = kept
    return value.movedim(1, -1).flatten(0, -2) if value.dim() == 4 else value.flatten(0, -2)


def changed(reference: Reference, before: Reference) -> list[str]:
    old = before.module.state_dict()
    return [k for k, v in reference.module.state_dict().items() if not torch.equal(v, old[k])]


def test_every_rule_has_a_fault() -> None:
    assert {code for name in faults for code in faults[name].codes} == CODES


def test_every_fault_fits_some_network() -> None:
    fresh = [models.build(f"{name}:init") for name in models.names()]
    assert all(any(faults[name].applies(r) for r in fresh) for name in faults)


@pytest.mark.parametrize("network", QUICK)
def test_planting_changes_a_copy_and_repeats_exactly(network: str) -> None:
    before = models.build(network)
    state = {key: value.clone() for key, value in before.module.state_dict().items()}
    torch_state = torch.get_rng_state()
    for name in faults:
        if faults[name].natural or not faults[name].applies(before):
            continue
        rngs = [torch.Generator().manual_seed(7) for _ in range(2)]
        with torch.no_grad():
            one, two = (faults[name].plant(before, Strength.MEDIUM, rng) for rng in rngs)
        assert one.module is not before.module or one.inputs is not before.inputs, name
        first, second = one.module.state_dict(), two.module.state_dict()
        assert all(torch.equal(first[k].nan_to_num(), second[k].nan_to_num()) for k in first), name
        assert torch.equal(one.inputs[0], two.inputs[0]), name
    assert torch.equal(torch.get_rng_state(), torch_state)
    for key, value in before.module.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("strength", Strength)
@pytest.mark.parametrize("network", ["mlp-relu", "cnn-bn"])
def test_dead_units_never_switch_on(network: str, strength: Strength) -> None:
    after = planted(f"{network}+dead-units@{strength}")
    dead = [
        float((put_out(after, name) <= 0).all(dim=0).float().mean()) for name in after.recipe.hidden
    ]
    assert max(dead) >= (0.75, 0.85, 0.95)[LIMIT[strength]]


@pytest.mark.parametrize("strength", Strength)
def test_saturated_units_are_flat(strength: Strength) -> None:
    after = planted(f"mlp-tanh+saturated-units@{strength}")
    flat = [
        float(((put_out(after, n).abs() > 2.18).float().mean(dim=0) >= 0.95).float().mean())
        for n in after.recipe.hidden
    ]
    assert max(flat) >= (0.375, 0.6, 0.9)[LIMIT[strength]] - 1e-9


def test_units_in_coma_rest() -> None:
    after = models.build("mlp-gelu+coma-units@weak")
    resting = [
        float((put_out(after, n) < -3).all(dim=0).float().mean()) for n in after.recipe.hidden
    ]
    assert max(resting) >= 0.75


@pytest.mark.parametrize(("strength", "deviation"), graded(150, 500, 5000))
def test_a_loud_layer_is_that_loud(strength: Strength, deviation: float) -> None:
    after = planted(f"mlp-relu+loud-layer@{strength}")
    (name, *_) = changed(after, models.build("mlp-relu"))
    found = float(put_out(after, name.rpartition(".")[0]).std())
    assert found == pytest.approx(deviation, rel=1e-3)


def test_a_rank_collapsed_layer_varies_along_one_direction() -> None:
    after = planted("mlp-relu+rank-collapse@weak")
    (name,) = changed(after, models.build("mlp-relu"))
    z = put_out(after, name.rpartition(".")[0])
    spectrum = torch.linalg.svdvals((z - z.mean(dim=0)).double()) ** 2
    assert float(spectrum[0] / spectrum.sum()) == pytest.approx(1 - 0.05 / 1.5, abs=1e-3)


def test_a_weak_rank_one_layer_has_a_stable_rank_of_four_thirds() -> None:
    after = planted("mlp-relu+rank-one@weak")
    (name,) = changed(after, models.build("mlp-relu"))
    weight = after.module.get_parameter(name).detach().double()
    rank = weight.norm() ** 2 / torch.linalg.matrix_norm(weight, 2) ** 2
    assert float(rank) == pytest.approx(1.33, abs=1e-3)


def test_duplicates_correlate() -> None:
    after = planted("mlp-relu+duplicate-units@medium")
    (name, *_) = changed(after, models.build("mlp-relu"))
    z = put_out(after, name.rpartition(".")[0])
    pairs = torch.corrcoef(z[:, z.std(dim=0) > 0].T).abs().fill_diagonal_(0)
    assert int((pairs > 0.9999).any(dim=0).sum()) >= 2 * 0.15 * z.shape[1]


@pytest.mark.parametrize("spec", ["mlp-relu+uneven-speed@strong", "mlp-relu+detached"])
def test_these_faults_preserve_the_function(spec: str) -> None:
    before, after = models.build("mlp-relu"), models.build(spec)
    with torch.no_grad():
        wanted, found = before.module(*before.inputs), after.module(*after.inputs)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


def gradients(reference: Reference) -> dict[str, Tensor]:
    reference.module.zero_grad()
    assert reference.targets is not None
    x, y = reference.inputs[0][:512], reference.targets[:512]
    F.cross_entropy(reference.module(x), y).backward()
    named = reference.module.named_parameters()
    return {k: p.grad.detach() for k, p in named if p.grad is not None and k.endswith("weight")}


@pytest.mark.parametrize(("strength", "ratio"), graded(1e-3 / 1.5, 1e-4, 1e-5))
def test_gradients_vanish_as_far_as_promised(strength: Strength, ratio: float) -> None:
    found = [
        float(g.norm())
        for g in gradients(planted(f"mlp-relu+vanishing-gradient@{strength}")).values()
    ]
    assert found[0] / found[-1] == pytest.approx(ratio, rel=0.05)


def test_learning_speeds_spread_as_far_as_promised() -> None:
    after = planted("mlp-relu+uneven-speed@weak")
    speed = [
        float(g.norm() / after.module.get_parameter(k).detach().norm())
        for k, g in gradients(after).items()
    ]
    assert max(speed) / min(speed) == pytest.approx(1.5e3, rel=0.05)


def test_a_detached_network_gives_early_layers_no_gradient() -> None:
    assert "layers.0.weight" not in gradients(planted("mlp-relu+detached"))


def test_stale_means_diverge_as_far_as_promised() -> None:
    """Divergence of Gaussians, channel by channel; the batch's own statistics by hand."""
    before, after = models.build("cnn-bn"), planted("cnn-bn+stale-mean@weak")
    (name,) = changed(after, before)
    norm = name.rpartition(".")[0]
    z = put_out(after, norm.replace("norm", "conv"))
    layer = after.module.get_submodule(norm)
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    ratio = z.var(dim=0) / layer.running_var
    distance = (z.mean(dim=0) - layer.running_mean) ** 2 / layer.running_var
    divergence = 0.5 * (ratio + distance - 1 - ratio.log())
    assert float(divergence.median()) == pytest.approx(0.15, rel=0.25)


@pytest.mark.parametrize(("strength", "gap"), graded(0.075, 0.2, 0.4))
def test_evaluation_is_as_much_worse_than_training_as_promised(
    strength: Strength, gap: float
) -> None:
    after = planted(f"cnn-bn+mode-gap@{strength}").copy()
    assert after.targets is not None
    assert after.accuracy is not None
    after.module.train()
    right = sum(
        int((after.module(x).argmax(1) == y).sum())
        for x, y in zip(after.inputs[0].split(128), after.targets.split(128), strict=True)
    )
    assert right / len(after.targets) - after.accuracy == pytest.approx(gap, abs=0.02)


@pytest.mark.parametrize(("strength", "share"), graded(0.75, 0.92, 1.0))
def test_one_class_takes_its_share(strength: Strength, share: float) -> None:
    after = planted(f"mlp-relu+class-collapse@{strength}")
    with torch.no_grad():
        answers = after.module(*after.inputs).argmax(dim=1)
    assert float((answers == 3).float().mean()) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("strength", "gap"), graded(0.15, 0.25, 0.35))
def test_confidence_exceeds_accuracy_as_promised(strength: Strength, gap: float) -> None:
    after = planted(f"mlp-relu+overconfidence@{strength}")
    with torch.no_grad():
        top, answer = after.module(*after.inputs).softmax(dim=1).max(dim=1)
    right = (answer == after.targets).float().mean()
    assert float(top.mean() - right) == pytest.approx(gap, abs=0.01)


@pytest.mark.parametrize(("strength", "radius"), graded(0.2 / 1.5, 0.05, 0.02))
def test_recurrence_is_as_weak_as_promised(strength: Strength, radius: float) -> None:
    weight = planted(f"lstm+weak-recurrence@{strength}").module.get_parameter(
        "recurrent.weight_hh_l0"
    )
    start = torch.randn(64, dtype=torch.cdouble, generator=torch.Generator().manual_seed(0))
    block, grown = weight.detach()[128:192].to(torch.cdouble), []
    for _ in range(400):  # growth per step tends to the spectral radius
        start = block @ (start / start.norm())
        grown.append(float(start.norm().log()))
    assert sum(grown[200:]) / 200 == pytest.approx(torch.tensor(radius).log().item(), abs=0.02)


def test_shut_gates_stay_shut() -> None:
    after = planted("lstm+shut-gates@weak")
    cell = after.module.get_submodule("recurrent")
    before = models.build("lstm").module.get_submodule("recurrent")
    moved = (cell.get_parameter("bias_ih_l0") != before.get_parameter("bias_ih_l0")).nonzero()[:, 0]
    assert len(moved) >= 0.375 * 64
    state = torch.zeros(599, 64), torch.zeros(599, 64)
    weights = [
        cell.get_parameter(f"{kind}_{way}_l0")
        for kind in ("weight", "bias")
        for way in ("ih", "hh")
    ]
    for step in after.inputs[0].unbind(dim=1):
        with torch.no_grad():
            gates = F.linear(step, weights[0], weights[2]) + F.linear(
                state[0], weights[1], weights[3]
            )
            one, forget, new, out = gates.chunk(4, dim=1)
            memory = forget.sigmoid() * state[1] + one.sigmoid() * new.tanh()
            state = out.sigmoid() * memory.tanh(), memory
        assert float(gates[:, moved].max()) < -4.36


def test_the_gain_over_depth_is_as_small_as_promised() -> None:
    after = planted("mlp-relu+init-small@weak")
    gain = 1.0
    for name in after.recipe.hidden:
        on = (put_out(after, name) > 0).float().mean()
        weight = after.module.get_parameter(f"{name}.weight").detach()
        gain *= float(weight.shape[1] * weight.var() * on)
    assert gain == pytest.approx(1e-4 / 1.5, rel=0.05)
    assert not after.trained


def test_raw_inputs_are_off_center() -> None:
    (x,) = planted("mlp-relu+raw-inputs@weak").inputs
    assert float(x.mean() / x.std()) == pytest.approx(2.25, rel=1e-3)


@pytest.mark.parametrize("name", ["dropout-in-eval", "noise-in-eval"])
def test_two_passes_differ(name: str) -> None:
    after = planted(f"mlp-relu+{name}@weak")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        one, two = (after.module(*after.inputs) for _ in range(2))
    assert float((one - two).abs().max()) > 1e-5 * max(1.0, float(one.square().mean().sqrt()))


def test_not_a_number_is_where_it_was_put() -> None:
    after = planted("mlp-relu+nan-weight@weak")
    assert sum(int(value.isnan().sum()) for value in after.module.state_dict().values()) == 1


def test_a_natural_fault_comes_from_training() -> None:
    """Adam at 0.1 kills units; SGD at 10 ends in NaN; wrong labels make a network too sure."""
    hot = planted("mlp-relu+adam-too-fast")
    dead = max(float((put_out(hot, n) <= 0).all(dim=0).float().mean()) for n in hot.recipe.hidden)
    assert dead > 0.5
    wild = planted("mlp-leaky+sgd-too-fast")
    assert any(not value.isfinite().all() for value in wild.module.parameters())
    sure = planted("mlp-relu+label-noise")
    with torch.no_grad():
        top, answer = sure.module(*sure.inputs).softmax(dim=1).max(dim=1)
    assert float(top.mean() - (answer == sure.targets).float().mean()) > 0.1


def test_constant_labels_end_in_one_answer() -> None:
    after = planted("mlp-relu+constant-labels")
    with torch.no_grad():
        assert after.module(*after.inputs).argmax(dim=1).unique().tolist() == [3]


def test_a_slow_momentum_leaves_the_first_statistics() -> None:
    after = planted("cnn-bn+frozen-statistics")
    variance = after.module.get_buffer("norm1.running_var")
    assert float((variance - 1).abs().max()) < 0.1


@pytest.mark.parametrize("network", ["rnn", "gru", "lstm"])
def test_recurrent_units_made_equal_stay_equal_over_time(network: str) -> None:
    after = planted(f"{network}+equal-rows@strong")
    with torch.no_grad():
        states = after.module.get_submodule("recurrent")(after.inputs[0][:16])[0]
    torch.testing.assert_close(states, states[..., :1].expand_as(states))
