"""Eigenvalues of recurrent weights, and the measured Jacobian from first to last state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from dnnrepair.backends import without_cudnn
from dnnrepair.evidence.recurrence import RecurrentGain, SpectralRadius
from dnnrepair.observation import Role
from dnnrepair.probe import NotMeasuredError, probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from dnnrepair.observation import TensorInfo
    from dnnrepair.probe import Session
    from dnnrepair.sites import Site

CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
CANDIDATE = {4: 2, 3: 2, 1: 0}  # block of the candidate among i f g o, r z n
MOST_UNITS = 2048  # eigenvalues of larger matrices take too long
SAMPLES = 32
PROJECTIONS = 4
MIN_STEPS = 3


@probe("spectral-radius")
class SpectralRadiusProbe:
    """Largest absolute eigenvalue of each recurrent weight matrix."""

    yields: ClassVar[type] = SpectralRadius

    def measure_tensor(self, info: TensorInfo, value: Tensor) -> SpectralRadius | None:
        """Return it, None for other tensors and projected LSTMs."""
        if info.role is not Role.RECURRENT or value.dim() != 2:  # noqa: PLR2004 - a matrix
            return None
        units = value.shape[1]
        blocks, rest = divmod(value.shape[0], units)
        if rest or blocks not in CANDIDATE or units > MOST_UNITS:
            return None
        place = CANDIDATE[blocks] * units
        square = value[place : place + units].double()
        if not bool(torch.isfinite(square).all()):
            return SpectralRadius(radius=float("nan"), blocks=blocks)
        return SpectralRadius(radius=float(torch.linalg.eigvals(square).abs().max()), blocks=blocks)


@probe("recurrent-gain")
class RecurrentGainProbe:
    """Random projections of the Jacobian of the last state in the first, through the real cell."""

    yields: ClassVar[type] = RecurrentGain

    def measure_session(self, session: Session) -> Iterator[tuple[str, RecurrentGain]]:
        """Yield the gains of each recurrent operation, by site."""
        places = {site.name for site in session.program.sites if site.op in CELLS}
        if not places or not session.batches:
            message = "the network has no recurrent layer over sequences"
            raise NotMeasuredError(message)
        calls: dict[str, tuple[Site, dict[str, Any]]] = {}

        def watch(site: Site, arguments: Mapping[str, Any], _value: Any) -> None:  # noqa: ANN401
            if site.name in places:
                calls[site.name] = (site, dict(arguments))

        with torch.no_grad():
            session.program.run(session.batches[0].inputs, watch=watch)
        for name, (site, arguments) in calls.items():
            x = arguments["input"]
            if arguments.get("batch_sizes") is not None or x.dim() != 3:  # noqa: PLR2004 - padded
                continue
            steps = x.shape[1] if arguments.get("batch_first") else x.shape[0]
            if steps >= MIN_STEPS:
                gains = dict(_gains(site.op, arguments, session.generator()))
                yield name, RecurrentGain(steps=int(steps), gains=gains)


def _gains(
    cell: str, arguments: Mapping[str, Any], rng: torch.Generator
) -> Iterator[tuple[str, float]]:
    """Yield title and gain of each layer and direction."""
    x = arguments["input"].transpose(0, 1) if arguments.get("batch_first") else arguments["input"]
    x = x[:, :SAMPLES].detach().float()  # (T, N, inputs)
    hx = arguments["hx"]
    states = [
        s[:, :SAMPLES].detach().float() for s in (hx if isinstance(hx, list | tuple) else [hx])
    ]
    ways = 2 if arguments.get("bidirectional") else 1
    layers = int(arguments["num_layers"])
    params = [p.detach().float() for p in arguments["params"]]
    each = len(params) // (layers * ways)
    for layer in range(layers):
        outputs = []
        for way in range(ways):
            place = layer * ways + way
            mine = params[place * each : (place + 1) * each]
            run = _Cell(cell, mine, biased=bool(arguments["has_biases"]))
            steps = x.flip(0) if way else x
            begin = [s[place : place + 1].contiguous() for s in states]
            yield f"layer {layer}{' backward' if way else ''}", run.gain(steps, begin, rng)
            output = run(steps, begin)[0]
            outputs.append(output.flip(0) if way else output)
        x = torch.cat(outputs, dim=-1)


class _Cell:
    """One layer of a recurrent operation in one direction."""

    def __init__(self, cell: str, params: Sequence[Tensor], *, biased: bool) -> None:
        self.run = getattr(torch, cell)
        self.paired = cell == "lstm"
        self.params = list(params)
        self.biased = biased

    def __call__(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return outputs ``(T, N, hidden)`` and last states ``(1, N, hidden)``."""
        state = list(states) if self.paired else states[0]
        found = self.run(x, state, self.params, self.biased, 1, 0.0, False, False, False)  # noqa: FBT003
        return found[0], list(found[1:])

    def gain(self, x: Tensor, begin: Sequence[Tensor], rng: torch.Generator) -> float:
        """Return the norm of the Jacobian of the last hidden state in the states after step 1."""
        with torch.enable_grad(), without_cudnn():
            first = [s.detach().requires_grad_() for s in self(x[:1], begin)[1]]
            last = self(x[1:], first)[1][0]  # (1, N, hidden)
            total = 0.0
            for _ in range(PROJECTIONS):
                v = torch.randn(last.shape, generator=rng).to(last)
                found = torch.autograd.grad(last, first, v, retain_graph=True)
                total += sum(float(g.double().square().sum()) for g in found)
        return math.sqrt(total / PROJECTIONS / last.numel())
