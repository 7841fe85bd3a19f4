"""Each operation against what torch, or a small network written by hand, says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dnnrepair.errors import DataError, SettingError
from dnnrepair.subject import Subject, subject_of
from dnnrepair.swap_report import Promise
from dnnrepair.swapping.operations.temperature import best_temperature
from dnnrepair.swapping.where import Where
from tests.swapping.small import answer, applied, inputs_of, jolted, network, reference, rng

DEAD = (1, 4, 7)


def mlp(activation: type[nn.Module], shift: float) -> Subject:
    """Return a network of which three hidden units never change."""
    subject = network([nn.Linear(6, 10), activation(), nn.Linear(10, 3)])
    bias = subject.tensors["0.bias"].clone()
    bias[list(DEAD)] = shift
    return changed(subject, {"0.bias": bias})


def changed(subject: Subject, tensors: dict[str, Tensor]) -> Subject:
    module = nn.Sequential(nn.Linear(6, 10), type(kinds(subject))(), nn.Linear(10, 3))
    module.load_state_dict({**subject.state, **tensors})
    return subject_of(module, (inputs_of(subject), torch.arange(256) % 3), name="net")


def kinds(subject: Subject) -> nn.Module:
    ops = {site.op for site in subject.running.sites}
    return nn.ReLU() if "relu" in ops else nn.Sigmoid()


def test_dead_units_are_revived_and_no_output_changes() -> None:
    before = mlp(nn.ReLU, -1000.0)
    found = applied(before, "revive")
    (swap,) = found.swaps
    after = found.subject
    x = inputs_of(before)
    assert swap.promise is Promise.EXACT
    assert swap.units == len(DEAD)
    assert torch.allclose(answer(after, x), answer(before, x), rtol=1e-6, atol=1e-6)
    alive = [unit for unit in range(10) if unit not in DEAD]
    for name in ("0.weight", "0.bias"):  # the layer's other units are not touched
        assert torch.equal(after.tensors[name][alive], before.tensors[name][alive])
    assert torch.equal(after.tensors["2.weight"][:, alive], before.tensors["2.weight"][:, alive])
    assert not after.tensors["2.weight"][:, list(DEAD)].any()
    z = (x @ after.tensors["0.weight"].T + after.tensors["0.bias"])[:, list(DEAD)]
    shown = z.relu() > 0
    assert ((shown.double().mean(0) > 0.3) & (shown.double().mean(0) < 0.7)).all()
    assert not found.structural


def test_revived_units_learn() -> None:
    found = applied(mlp(nn.ReLU, -1000.0), "revive")
    module = found.module.train()
    x = inputs_of(found.subject)
    F.cross_entropy(module(x), torch.arange(256) % 3).backward()
    gradient = module.get_parameter("2.weight").grad
    assert gradient is not None
    assert gradient[:, list(DEAD)].abs().min() > 0


def test_dead_units_are_pruned_and_the_network_is_the_small_one() -> None:
    before = mlp(nn.ReLU, -1000.0)
    found = applied(before, "prune")
    alive = [unit for unit in range(10) if unit not in DEAD]
    small = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 3))
    small.load_state_dict(
        {
            "0.weight": before.tensors["0.weight"][alive],
            "0.bias": before.tensors["0.bias"][alive],
            "2.weight": before.tensors["2.weight"][:, alive],
            "2.bias": before.tensors["2.bias"],
        }
    )
    x = inputs_of(before)
    with torch.no_grad():
        assert torch.allclose(answer(found.subject, x), small(x), atol=1e-6)
    assert found.subject.tensors["0.weight"].shape == (7, 6)
    assert found.structural


def test_what_a_stuck_unit_always_said_goes_into_the_next_bias() -> None:
    before = mlp(nn.Sigmoid, 1000.0)  # three units always say 1
    found = applied(before, "prune")
    (swap,) = found.swaps
    assert swap.promise is Promise.EXACT
    expected = before.tensors["2.bias"] + before.tensors["2.weight"][:, list(DEAD)].sum(1)
    assert torch.allclose(found.subject.tensors["2.bias"], expected, atol=1e-6)


def test_units_in_a_coma_leave_a_small_change_that_is_measured() -> None:
    before = network([nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3)])
    where = Where(layers=("0",), units={"0": (2,)}, because="ACT002")
    (swap,) = applied(before, "prune", where).swaps
    assert swap.promise is Promise.CLOSEST
    assert swap.difference is not None
    assert swap.difference.relative > 1e-3


def test_units_of_images_are_pruned_through_pools_norms_and_flattening() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Conv2d(8, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    jolted(module)
    with torch.no_grad():
        module.get_parameter("1.bias")[:3] = -100.0
        module.get_parameter("5.bias")[1] = -100.0
    x = torch.randn(64, 1, 8, 8, generator=rng())
    before = subject_of(module, (x, torch.arange(64) % 3))
    found = applied(before, "prune")
    (swap,) = found.swaps
    assert (swap.promise, swap.units) == (Promise.EXACT, 4)
    shapes = {name: tuple(value.shape) for name, value in found.subject.tensors.items()}
    assert shapes["0.weight"] == (5, 1, 3, 3)
    assert shapes["1.running_mean"] == (5,)
    assert shapes["5.weight"] == (3, 5, 3, 3)
    assert shapes["8.weight"] == (3, 48)
    revived = applied(before, "revive")
    assert revived.swaps[0].promise is Promise.EXACT
    assert torch.allclose(answer(revived.subject, x), answer(before, x), atol=1e-5)


def test_where_sizes_are_spelled_out_pruned_units_become_zero() -> None:
    class Spelled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.second(self.first(x).relu().view(-1, 10))
            return y

    module = jolted(Spelled())
    with torch.no_grad():
        module.get_parameter("first.bias")[3] = -100.0
    x = torch.randn(64, 6, generator=rng())
    found = applied(subject_of(module, (x, torch.arange(64) % 3)), "prune")
    assert found.skipped == ("first: its sizes are spelled out in the graph; weights set to 0",)
    assert not found.subject.tensors["first.weight"][3].any()
    assert not found.structural


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet20", "add before its activation mixes units or is no layer"),
        ("transformer", "every unit changes with the data"),
        ("lstm", "this network has no activations"),
    ],
)
def test_units_that_cannot_be_cut_off_are_left_alone(name: str, reason: str) -> None:
    where = Where(layers=("blocks.0.bn2",), units={"blocks.0.bn2": (0,)})
    with pytest.raises(SettingError, match=reason):
        applied(reference(name), "revive", where if name == "resnet20" else "*")


def test_running_statistics_are_those_of_torch() -> None:
    before = reference("cnn-bn")
    after = applied(before, "reestimate-bn", batch_size=16).subject
    module = applied(before, "reestimate-bn").module
    module.load_state_dict(before.state)
    chain = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
    first, norm = chain[0], chain[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(first, nn.Conv2d)
    first.weight.data = before.tensors["conv1.weight"]
    norm.momentum = None
    with torch.no_grad():
        for part in inputs_of(before).split(16):
            chain(part)
    assert torch.allclose(after.tensors["norm1.running_mean"], norm.running_mean, atol=1e-6)  # type: ignore[arg-type]
    assert torch.allclose(after.tensors["norm1.running_var"], norm.running_var, rtol=1e-5)  # type: ignore[arg-type]
    assert torch.equal(after.tensors["norm3.weight"], before.tensors["norm3.weight"])


def test_the_temperature_is_the_best_of_a_grid_and_keeps_every_class() -> None:
    logits = torch.randn(400, 5, generator=rng()).double()
    labels = torch.distributions.Categorical(logits=logits).sample()
    grid = torch.linspace(0.2, 20, 4000).double()
    loss = torch.stack([F.cross_entropy(4 * logits / t, labels) for t in grid])
    best = best_temperature(4 * logits, labels, "cross_entropy")
    assert best == pytest.approx(float(grid[loss.argmin()]), abs=0.02)
    before = network([nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)])
    found = applied(before, "temperature")
    (swap,) = found.swaps
    assert swap.difference is not None
    assert swap.difference.agreement is not None
    assert swap.difference.agreement.value == 1
    assert swap.difference.loss_before is not None
    assert swap.difference.loss_after is not None
    assert swap.difference.loss_after < swap.difference.loss_before
    assert not found.structural


@pytest.mark.parametrize(("ends", "left"), [(1, 0), (2, 1)])
def test_one_softmax_at_the_end_is_removed(ends: int, left: int) -> None:
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)]
    before = network([*layers, *(nn.Softmax(-1) for _ in range(ends))])
    after = applied(before, "remove-softmax").subject
    x = inputs_of(before)
    expected = network(layers)
    logits = answer(expected, x)
    assert torch.allclose(answer(after, x), logits.softmax(-1) if left else logits, atol=1e-6)
    assert torch.equal(answer(after, x).argmax(1), answer(before, x).argmax(1))


def test_without_a_softmax_there_is_nothing_to_remove() -> None:
    with pytest.raises(SettingError, match="the last operation is linear, no softmax or sigmoid"):
        applied(reference("cnn"), "remove-softmax")


def test_recurrent_matrices_get_the_spectral_radius() -> None:
    after = applied(reference("lstm"), "spectral-radius", radius=0.7).subject
    for gate in after.tensors["recurrent.weight_hh_l0"].chunk(4):
        radius = np.abs(np.linalg.eigvals(gate.double().numpy())).max()
        assert radius == pytest.approx(0.7, rel=1e-4)


@pytest.mark.parametrize(("kind", "layer"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_a_plain_recurrent_layer_becomes_a_gated_one(kind: str, layer: Any) -> None:
    before = reference("rnn")
    found = applied(before, "gated", kind=kind)
    tensors = found.subject.tensors
    twin = layer(8, 64, batch_first=True)
    twin.load_state_dict(
        {n.partition(".")[2]: v for n, v in tensors.items() if n.startswith("recurrent.")}
    )
    x = inputs_of(before)
    with torch.no_grad():
        states = twin(x)[0][:, -1]
        expected = F.linear(states, tensors["head.weight"], tensors["head.bias"])
    assert torch.allclose(answer(found.subject, x), expected, atol=1e-6)
    (swap,) = found.swaps
    assert "re-initialization" in swap.reason


def test_weights_are_drawn_with_the_gain_of_the_activation_after_them() -> None:
    before = reference("mlp-silu")
    after = applied(before, "init", "layers.2", rule="he").subject
    assert float(after.tensors["layers.2.weight"].std()) == pytest.approx(1.677 / 8, rel=0.05)
    assert not after.tensors["layers.2.bias"].any()
    assert torch.equal(after.tensors["layers.0.weight"], before.tensors["layers.0.weight"])
    again = applied(before, "init", "layers.2", rule="he").subject
    assert torch.equal(again.tensors["layers.2.weight"], after.tensors["layers.2.weight"])
    other = applied(before, "init", "layers.2", seed=1, rule="he").subject
    assert not torch.equal(other.tensors["layers.2.weight"], after.tensors["layers.2.weight"])


def test_lsuv_gives_every_layer_deviation_1() -> None:
    before = reference("mlp-deep-tanh")
    after = applied(before, "init", rule="lsuv").subject
    x = inputs_of(before)
    for place in range(0, 16, 2):
        name = f"layers.{place}"
        z = F.linear(x, after.tensors[f"{name}.weight"], after.tensors[f"{name}.bias"])
        assert float(z.std(correction=0)) == pytest.approx(1, abs=0.1)
        x = z.tanh()


def test_data_dependent_weights_give_every_unit_mean_0_and_deviation_1() -> None:
    before = network([nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 8, bias=False), nn.ReLU(),
                      nn.Linear(8, 3)])  # fmt: skip
    after = applied(before, "init", rule="data-dependent").subject
    x = inputs_of(before)
    for name in ("0", "2", "4"):
        z = F.linear(x, after.tensors[f"{name}.weight"], after.tensors[f"{name}.bias"])
        assert torch.allclose(z.mean(0), torch.zeros(z.shape[1]), atol=1e-4)
        assert torch.allclose(z.std(0, correction=0), torch.ones(z.shape[1]), atol=1e-3)
        x = z.relu()


def test_residual_blocks_begin_as_the_identity() -> None:
    before = reference("resnet20")
    found = applied(before, "init", rule="zero-residual")
    (swap,) = found.swaps
    assert "blocks.0.bn2" in swap.layers
    after = found.subject
    assert not after.tensors["blocks.0.bn2.weight"].any()
    assert not after.tensors["blocks.0.bn2.bias"].any()
    assert torch.equal(
        after.tensors["blocks.0.conv1.weight"], before.tensors["blocks.0.conv1.weight"]
    )
    seen: dict[str, Tensor] = {}

    def watch(site: Any, _arguments: Any, value: Any) -> None:
        seen[site.name] = value

    with torch.no_grad():
        after.running.run([inputs_of(before)], watch=watch)
    from dnnrepair.residual import residuals

    first = residuals(before.running.sites)[0]
    assert torch.equal(seen[first.site.name], seen[first.skip])


def test_dropout_acts_in_training_only_and_once() -> None:
    before = network([nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 3)])
    found = applied(before, "dropout", share=0.4)
    (swap,) = found.swaps
    assert swap.promise is Promise.EXACT
    assert swap.layers == ("0", "2")
    x = inputs_of(before)
    assert torch.equal(answer(found.subject, x), answer(before, x))
    assert "F.alpha_dropout(" in found.source
    module = found.module.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        noisy = torch.stack([module(x) for _ in range(200)]).detach()
    assert float(noisy.std(0).mean()) > 0.05
    assert torch.equal(module.eval()(x), answer(before, x))
    with pytest.raises(SettingError, match="0: it is followed by dropout already"):
        applied(found.subject, "dropout", "0")
    with pytest.raises(SettingError, match=r"dropout takes a share in \(0, 1\), not 1"):
        applied(before, "dropout", share=1.0)


def test_an_rms_norm_begins_without_effect_and_is_torchs_own() -> None:
    before = network([nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3)])
    found = applied(before, "norm", "0", kind="rms")
    x = inputs_of(before)
    assert torch.equal(answer(found.subject, x), answer(before, x))
    module = found.module
    with torch.no_grad():
        module.get_parameter("layer_0_norm.share").fill_(1.0)
        z = F.linear(x, before.tensors["0.weight"], before.tensors["0.bias"])
        hidden = F.rms_norm(z, [10], eps=1e-5).relu()
        expected = F.linear(hidden, before.tensors["2.weight"], before.tensors["2.bias"])
        assert torch.allclose(module(x), expected, atol=1e-5)
    with pytest.raises(SettingError, match="conv1 gives channels before positions; take layer or"):
        applied(reference("cnn"), "norm", "conv1", kind="rms")


def test_saturated_units_come_back_and_outputs_stay_near() -> None:
    before = network([nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3)])
    state = dict(before.state)
    state["0.bias"] = state["0.bias"].clone()
    state["0.bias"][:4] += 6.0  # saturated on one side
    module = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))
    module.load_state_dict(state)
    x = inputs_of(before)
    before = subject_of(module, (x, torch.arange(256) % 3))
    found = applied(before, "desaturate")
    (swap,) = found.swaps
    assert (swap.promise, swap.units) == (Promise.CLOSEST, 4)
    z = F.linear(x, found.subject.tensors["0.weight"], found.subject.tensors["0.bias"])[:, :4]
    assert (z.abs() > 2.18).double().mean() < 0.1
    assert torch.allclose(z.mean(0), torch.zeros(4), atol=1e-4)
    assert swap.difference is not None
    assert swap.difference.relative < 0.05
    same = F.linear(x, found.subject.tensors["0.weight"], found.subject.tensors["0.bias"])[:, 4:]
    assert torch.equal(same, F.linear(x, state["0.weight"], state["0.bias"])[:, 4:])


@pytest.mark.parametrize("kind", ["standard", "min-max"])
def test_the_first_layer_reads_scaled_inputs_and_borders_stay_exact(kind: str) -> None:
    before = reference("cnn", torch.float64)
    found = applied(before, "scale-input", kind=kind)
    (swap,) = found.swaps
    assert swap.difference is not None
    assert swap.difference.relative < 1e-12
    read: list[Tensor] = []

    def watch(site: Any, arguments: Any, _value: Any) -> None:
        if site.layer == "conv1" and site.op == "conv2d":
            read.append(arguments["input"])

    x = inputs_of(before) * 3 + 40  # inputs that need it
    with torch.no_grad():
        found.subject.running.run([x], watch=watch)
    known = inputs_of(before)
    offset, scale = known.mean(), known.std(correction=0)
    if kind == "min-max":
        offset, scale = known.min(), known.max() - known.min()
    assert torch.allclose(read[0][:, :, 1:-1, 1:-1], (x - offset) / scale)
    assert torch.allclose(answer(found.subject, x), answer(before, x))


def test_residual_branches_are_scaled_and_compensated_for() -> None:
    before = reference("resnet20")
    after = applied(before, "residual-scale", scale=0.1, per_channel=True).subject
    ratio = after.tensors["blocks.1.bn2.weight"] / before.tensors["blocks.1.bn2.weight"]
    assert torch.allclose(ratio, torch.full_like(ratio, 10))
    (name,) = [n for n in after.tensors if n.startswith("blocks_1_bn2_scale")]
    assert after.tensors[name].flatten().tolist() == pytest.approx([0.1] * 8)
    assert after.infos[name].trainable


def test_what_is_nearest_is_told_with_its_distance() -> None:
    before = reference("mlp-relu")
    (swap,) = applied(before, "activation", "layers.0", new="silu").swaps
    assert swap.promise is Promise.CLOSEST
    assert "of a deviation off, on the layer's own inputs" in swap.reason
    assert swap.difference is not None
    (plain,) = applied(before, "activation", "layers.0", new="tanh", mode="plain").swaps
    assert plain.promise is Promise.CHANGES
    assert plain.difference is not None
    assert plain.difference.relative > swap.difference.relative > 0


def test_a_call_of_a_function_is_swapped_like_a_module() -> None:
    found = applied(reference("cnn"), "activation", "conv*", old="relu", new="prelu")
    assert {"conv1_prelu.weight", "conv2_prelu.weight"} <= set(found.subject.tensors)
    assert found.subject.tensors["conv1_prelu.weight"].shape == (16,)
    ops = [site.op for site in found.subject.running.sites]
    assert (ops.count("prelu"), ops.count("relu")) == (2, 1)


def test_data_are_needed_where_something_is_measured() -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    bare = replace(subject_of(module, torch.randn(8, 6)), samples=None)
    with pytest.raises(DataError, match="give data with --data, or take --plain"):
        applied(bare, "activation", new="silu")
    with pytest.raises(DataError, match="a batch norm starts from the layer's values: give data"):
        applied(bare, "norm", kind="batch")
    with pytest.raises(DataError, match="revive measures the layer's values: give data"):
        applied(bare, "revive")
    with pytest.raises(DataError, match="lsuv scales by what layers give: give data"):
        applied(bare, "init", rule="lsuv")
    exact = applied(bare, "activation", new="prelu")  # needs none, and is tried on made-up inputs
    assert exact.swaps[0].difference is not None
    assert exact.swaps[0].difference.inputs == "made-up Gaussian inputs"


def test_weight_norm_refuses_units_without_a_direction() -> None:
    before = network([nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)])
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    module.load_state_dict(before.state)
    with torch.no_grad():
        module.get_parameter("0.weight")[2] = 0
    subject = subject_of(module, inputs_of(before))
    with pytest.raises(SettingError, match=r"units \[2\] are all 0, and have no direction"):
        applied(subject, "norm", "0", kind="weight")
