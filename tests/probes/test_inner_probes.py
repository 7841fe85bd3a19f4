"""Gates, batch statistics, mode similarity, token cosine and norm input against slow oracles."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dnnrepair.probe import Batch, Call
from dnnrepair.probes.batch_statistics import statistics
from dnnrepair.probes.gates import GateProbe
from dnnrepair.probes.mode_gap import similarity
from dnnrepair.probes.norm_input import NormInputProbe
from dnnrepair.probes.operands import OperandsProbe
from dnnrepair.probes.token_cosine import TokenCosineProbe
from dnnrepair.sites import Site


def call_of(op: str, output: Tensor, mask: Tensor | None = None, **arguments: Any) -> Call:
    site = Site(name="here", op=op, shape=tuple(output.shape), settings={"eps": 1e-5})
    batch = Batch(inputs=(output,), mask=mask)
    return Call(site=site, arguments=arguments, output=output, batch=batch)


def recurrent_call(module: nn.RNNBase, op: str, x: Tensor, mask: Tensor | None = None) -> Call:
    ways = 2 if module.bidirectional else 1
    zeros = torch.zeros(module.num_layers * ways, len(x), module.hidden_size)
    with torch.no_grad():
        output = module(x)[0]
    return call_of(
        op,
        output,
        mask,
        input=x,
        hx=[zeros, zeros] if op == "lstm" else zeros,
        params=[parameter.detach() for parameter in module.parameters()],
        has_biases=module.bias,
        num_layers=module.num_layers,
        bidirectional=module.bidirectional,
        batch_first=True,
    )


def lstm_by_hand(module: nn.LSTM, x: Tensor, suffix: str) -> tuple[Tensor, Tensor]:
    """Return all pre-activations ``(samples, steps, 4 * hidden)`` and the states of one layer."""
    h = c = torch.zeros(len(x), module.hidden_size)
    zs, hs = [], []
    w_ih, w_hh = (module.get_parameter(f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
    biases = sum(module.get_parameter(f"bias_{kind}_{suffix}") for kind in ("ih", "hh"))
    for step in range(x.shape[1]):
        z = x[:, step] @ w_ih.T + h @ w_hh.T + biases
        i, f, g, o = z.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        zs.append(z)
        hs.append(h)
    return torch.stack(zs, 1), torch.stack(hs, 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_lstm_gates_step_by_step(layers: int) -> None:
    torch.manual_seed(layers)
    module = nn.LSTM(3, 5, num_layers=layers, batch_first=True)
    for parameter in module.parameters():
        parameter.data *= 8
    x = torch.randn(20, 6, 3)
    mask = torch.rand(20, 6) < 0.7
    found = GateProbe().measure(recurrent_call(module, "lstm", x, mask))
    low, high = [], []
    with torch.no_grad():
        for layer in range(layers):
            z, x = lstm_by_hand(module, x, f"l{layer}")
            i, _, g, o = z[mask].chunk(4, dim=1)
            for gate, flat in ((i, 4.36), (g, 2.18), (o, 4.36)):
                low.append((gate < -flat).sum(0).numpy())
                high.append((gate > flat).sum(0).numpy())
    assert found.count == int(mask.sum())
    np.testing.assert_array_equal(found.low, np.stack(low))
    np.testing.assert_array_equal(found.high, np.stack(high))
    assert np.stack(high).sum() > 0
    assert len(found.names) == 3 * layers


def test_a_gru_candidate_step_by_step() -> None:
    torch.manual_seed(0)
    module = nn.GRU(3, 5, batch_first=True)
    for parameter in module.parameters():
        parameter.data *= 6
    x = torch.randn(20, 6, 3)
    found = GateProbe().measure(recurrent_call(module, "gru", x))
    cell = nn.GRUCell(3, 5)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in module.state_dict().items()})
    h, high = torch.zeros(20, 5), torch.zeros(5)
    with torch.no_grad():
        for step in range(6):
            inner = (x[:, step] @ cell.weight_ih.T + cell.bias_ih).chunk(3, 1)
            state = (h @ cell.weight_hh.T + cell.bias_hh).chunk(3, 1)
            high += (inner[2] + (inner[0] + state[0]).sigmoid() * state[2] > 2.18).sum(0)
            h = cell(x[:, step], h)
    np.testing.assert_array_equal(found.high[0], high.numpy())
    assert high.sum() > 0


def test_a_backward_direction_reads_from_the_end() -> None:
    torch.manual_seed(0)
    module = nn.RNN(3, 5, batch_first=True, bidirectional=True)
    for parameter in module.parameters():
        parameter.data *= 4
    call = recurrent_call(module, "rnn_tanh", torch.randn(30, 6, 3))
    found = GateProbe().measure(call)
    high = (call.output > np.tanh(2.18)).sum((0, 1)).reshape(2, 5)  # the output is tanh(z)
    np.testing.assert_array_equal(found.high, high.numpy())
    assert found.names == ("state (forward)", "state (backward)")


@given(
    cuts=st.lists(st.integers(2, 9), min_size=1, max_size=5), shift=st.sampled_from([0.0, 900.0])
)
def test_batch_statistics_add_to_those_of_all_rows(cuts: list[int], shift: float) -> None:
    values = torch.randn(sum(cuts), 3, 4, generator=torch.Generator().manual_seed(0)) + shift
    parts = values.split(cuts)
    found = reduce(add, [statistics(part) for part in parts])
    rows = values.double().movedim(1, -1).reshape(-1, 3).numpy()
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.variance, rows.var(0), rtol=1e-3)
    within = np.stack(
        [part.double().movedim(1, -1).reshape(-1, 3).numpy().var(0) for part in parts]
    )
    unrest = float(np.median(within.std(0) / within.mean(0)))
    assert found.unrest == pytest.approx(unrest, abs=1e-3)


def test_similarity_is_cka_of_centered_gram_matrices() -> None:
    rng = torch.Generator().manual_seed(0)
    one = torch.randn(40, 6, generator=rng)
    two = torch.randn(40, 9, generator=rng) + one[:, :1]
    center = np.eye(40) - 1 / 40
    k, m = (center @ (v @ v.T).numpy() @ center for v in (one.double(), two.double()))
    expected = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert similarity(one, two) == pytest.approx(expected, rel=1e-6)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=rng)).Q
    assert similarity(one, 3 * one @ rotation + 5) == pytest.approx(1)


def test_token_cosine_of_all_pairs() -> None:
    values = torch.randn(7, 5, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(7, 5, dtype=torch.bool)
    mask[0, 2:], mask[1, 1:] = False, False
    expected = []
    for tokens, kept in zip(values, mask, strict=True):
        rows = tokens[kept]
        pairs = [
            float(torch.cosine_similarity(rows[i], rows[j], dim=0))
            for i in range(len(rows))
            for j in range(i)
        ]
        expected += [np.mean(pairs)] if pairs else []
    found = TokenCosineProbe().measure(call_of("add", values, mask))
    assert found.sequences == 6
    assert found.mean == pytest.approx(float(np.mean(expected)), abs=1e-5)


def test_faint_and_massive_tokens_are_counted() -> None:
    x = torch.randn(8, 5, 64, generator=torch.Generator().manual_seed(0))
    x[0] *= 1e-4
    x[1, :, 3] = 1000.0
    found = NormInputProbe().measure(call_of("layer_norm", x, input=x, normalized_shape=[64]))
    assert (found.count, found.faint, found.massive) == (40, 5, 5)


def test_operands_and_their_scale() -> None:
    one, two = torch.randn(50, 6), torch.randn(50, 6) * 3
    call = call_of("add", one + 2 * two, input=one, other=two, alpha=2)
    found = OperandsProbe().measure(call)
    for side, values in (("first", one), ("second", 2 * two), ("total", one + 2 * two)):
        assert found.rms(side) == pytest.approx(float(values.square().mean().sqrt()), rel=1e-5)
