"""Forward impact and gradient loss from their definitions: one sample, one term at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator

    Index = tuple[int, ...]
    Term = tuple[str, Index, Index, float]  # parameter, weight, output, value


@dataclass
class Seen:
    """What one module read and returned for one sample, and the gradient of the summed logits."""

    terms: list[Term]
    behind: dict[Index, float]


def gradient_loss(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return |sum over samples of dL/dW|, of losses computed one sample at a time."""
    total = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    for i in range(len(x)):
        net.zero_grad()
        F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
        for name, p in net.named_parameters():
            total[name] += 0 if p.grad is None else p.grad
    return {name: value.abs() for name, value in total.items()}


def forward_impact(
    net: nn.Module, x: Tensor, layer: str, *, pooled: bool = False, signed: bool = False
) -> dict[str, Tensor]:
    """Return the forward impact of the weights of a module of the network.

    Args:
        net: the network.
        x: inputs.
        layer: name of the module, called once.
        pooled: shares of the sums over all samples.
        signed: do not take the size of a term.
    """
    module = net.get_submodule(layer)
    seen = [_seen(net, module, x[i : i + 1]) for i in range(len(x))]
    n = len(seen)
    behind: dict[Index, float] = defaultdict(float)
    sums: list[dict[Index, float]] = []
    for one in seen:
        whole = sum(one.behind.values())
        for out, value in one.behind.items():
            behind[out] += value / whole / n if whole else 0.0
        sums.append(defaultdict(float))
        for _, _, out, value in one.terms:
            sums[-1][out] += abs(value)
    if pooled:
        together: dict[Index, float] = defaultdict(float)
        for own in sums:
            for out, value in own.items():
                together[out] += value
        sums = [together] * n
    found = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    for one, own in zip(seen, sums, strict=True):
        for name, index, out, value in one.terms:
            if own[out]:
                share = (value if signed else abs(value)) / own[out]
                found[name].data[index] += share / n * behind[out]
    return found


def _seen(net: nn.Module, module: nn.Module, x: Tensor) -> Seen:
    kept: dict[str, Any] = {}

    def hook(_: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        kept["x"], kept["out"] = arguments[0].detach(), output
        (output[0] if isinstance(output, tuple) else output).retain_grad()

    handle = module.register_forward_hook(hook)
    net(x).sum().backward()
    handle.remove()
    out = kept["out"][0] if isinstance(kept["out"], tuple) else kept["out"]
    gradient = out.grad.abs()
    recurrent = isinstance(module, nn.RNNBase)
    behind: dict[Index, float] = defaultdict(float)
    for index in product(*map(range, gradient.shape[1:])):
        behind[index[-1:] if recurrent else index] += float(gradient[(0, *index)])
    terms = (
        recurrent_terms(module, kept["x"][0]) if recurrent else affine_terms(module, kept["x"][0])
    )
    return Seen(list(terms), behind)


def affine_terms(module: Any, x: Tensor) -> Iterator[Term]:
    """Yield the terms of one sample's output."""
    weight = module.weight.detach()
    if isinstance(module, nn.Linear):
        for position in product(*map(range, x.shape[:-1])):
            for j, i in product(range(module.out_features), range(module.in_features)):
                yield "weight", (j, i), (*position, j), float(x[(*position, i)] * weight[j, i])
        return
    transposed = "Transpose" in type(module).__name__
    with torch.no_grad():
        shape = module(x[None]).shape[1:]
    groups = module.groups
    for index in product(*map(range, weight.shape)):
        first, second, kernel = index[0], index[1], index[2:]
        if transposed:  # (in, out / groups, *kernel)
            group = first // (weight.shape[0] // groups)
            c_in, c_out = first, group * weight.shape[1] + second
        else:  # (out, in / groups, *kernel)
            group = first // (weight.shape[0] // groups)
            c_in, c_out = group * weight.shape[1] + second, first
        scanned = x.shape[1:] if transposed else shape[1:]
        other = shape[1:] if transposed else x.shape[1:]
        for p in product(*map(range, scanned)):
            q = tuple(
                a * s - pad + k * d
                for a, s, pad, k, d in zip(
                    p, module.stride, _padding(module), kernel, module.dilation, strict=True
                )
            )
            if all(0 <= b < size for b, size in zip(q, other, strict=True)):
                source, target = (p, q) if transposed else (q, p)
                yield "weight", index, (c_out, *target), float(x[(c_in, *source)] * weight[index])


def _padding(module: Any) -> tuple[int, ...]:
    if module.padding == "same":
        return tuple(
            d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True)
        )
    return tuple(module.padding)


def recurrent_terms(module: Any, x: Tensor) -> Iterator[Term]:
    """Yield the terms of one sample's hidden states, of a batch-first layer in one direction."""
    w, u = module.weight_ih_l0.detach(), module.weight_hh_l0.detach()
    b, v = module.bias_ih_l0.detach(), module.bias_hh_l0.detach()
    size = module.hidden_size
    h, c = torch.zeros(size, dtype=x.dtype), torch.zeros(size, dtype=x.dtype)
    for step in x:
        from_x, from_h = w @ step + b, u @ h + v
        for_x, for_h, new, c = _partners(type(module).__name__, from_x, from_h, h, c)
        for gate, unit in product(range(len(for_x)), range(size)):
            row = gate * size + unit
            for k in range(len(step)):
                yield (
                    "weight_ih_l0",
                    (row, k),
                    (unit,),
                    float(step[k] * w[row, k] * for_x[gate][unit]),
                )
            for k in range(size):
                yield "weight_hh_l0", (row, k), (unit,), float(h[k] * u[row, k] * for_h[gate][unit])
        h = new


def _partners(
    kind: str, from_x: Tensor, from_h: Tensor, h: Tensor, c: Tensor
) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
    """Return what each gate is multiplied with, for x and for h, and the new states."""
    if kind == "LSTM":
        i, f, g, o = (from_x + from_h).chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        new = f * c + i * g
        partners = [o * g / new, o * c / new, o * i / new, new.tanh()]
        return partners, partners, o * new.tanh(), new
    if kind == "GRU":
        r_x, z_x, n_x = from_x.chunk(3)
        r_h, z_h, n_h = from_h.chunk(3)
        r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
        n = (n_x + r * n_h).tanh()
        shared = [(1 - z) * n_h, h - n]
        return [*shared, 1 - z], [*shared, (1 - z) * r], (1 - z) * n + z * h, c
    ones = [torch.ones_like(h)]
    return ones, ones, (from_x + from_h).tanh(), c
