"""Take recurrent operations apart, to see how often their gates are saturated."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from dnnrepair.evidence.gates import GateUse
from dnnrepair.probe import probe
from dnnrepair.unrolled import BLOCKS, Gating, states_of, unroll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

FLAT = {"sigmoid": 4.36, "tanh": 2.18}  # slope under 5 % of its maximum beyond this

# Per kind of cell: name, function and place among the blocks of the gates that must not saturate.
# A forget or update gate near 1 is how the cell remembers.
_JUDGED = {
    "lstm": (("input gate", "sigmoid", 0), ("candidate", "tanh", 2), ("output gate", "sigmoid", 3)),
    "gru": (("candidate", "tanh", 2),),
    "rnn_tanh": (("state", "tanh", 0),),
}


@probe("gates")
class GateProbe:
    """Recomputes ``W_ih x + W_hh h + b`` of LSTM, GRU and tanh cells, step by step."""

    yields: ClassVar[type] = GateUse
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:  # noqa: ARG002 - the protocol's
        """Watch recurrent operations with saturating activations."""
        return site.op.removesuffix("_cell") in _JUDGED

    def measure(self, call: Call) -> GateUse:
        """Return the counts of one batch."""
        cell = call.site.op.removesuffix("_cell")
        names: list[str] = []
        counted: list[tuple[int, Tensor, Tensor]] = []
        for title, x, h, weights in _directions(cell, call):
            for name, function, block in _JUDGED[cell]:
                z = _preactivation(cell, weights, x, h, block)  # (rows, hidden)
                flat = FLAT[function]
                counted.append((len(z), (z < -flat).sum(0), (z > flat).sum(0)))
                names.append(f"{name}{title}")
        if not counted:
            return GateUse(count=0, low=np.zeros((0, 0)), high=np.zeros((0, 0)), names=())
        return GateUse(
            count=counted[0][0],
            low=torch.stack([low for _, low, _ in counted]).double().cpu().numpy(),
            high=torch.stack([high for _, _, high in counted]).double().cpu().numpy(),
            names=tuple(names),
        )


def _preactivation(cell: str, weights: Gating, x: Tensor, h: Tensor, block: int) -> Tensor:
    """Return what the activation of one gate reads, ``(rows, hidden)``."""
    hidden = len(weights.w_ih) // BLOCKS[cell]

    def parts(place: int) -> tuple[Tensor, Tensor]:
        rows = slice(place * hidden, (place + 1) * hidden)
        b_ih = 0 if weights.b_ih is None else weights.b_ih[rows]
        b_hh = 0 if weights.b_hh is None else weights.b_hh[rows]
        return x @ weights.w_ih[rows].mT + b_ih, h @ weights.w_hh[rows].mT + b_hh

    from_input, from_state = parts(block)
    if cell == "gru":  # n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        reset_input, reset_state = parts(0)
        from_state = torch.sigmoid(reset_input + reset_state) * from_state
    return from_input + from_state


def _directions(cell: str, call: Call) -> Iterator[tuple[str, Tensor, Tensor, Gating]]:
    """Yield title, inputs and previous states ``(rows, ...)`` and weights of each layer and way."""
    arguments = call.arguments
    if call.site.op.endswith("_cell"):
        state = states_of(arguments["hx"])[0]
        yield (
            "",
            arguments["input"],
            state,
            Gating(
                w_ih=arguments["w_ih"],
                w_hh=arguments["w_hh"],
                b_ih=arguments.get("b_ih"),
                b_hh=arguments.get("b_hh"),
            ),
        )
    elif arguments.get("batch_sizes") is None and arguments["input"].dim() == 3:  # noqa: PLR2004
        yield from _sequence(cell, call)


def _sequence(cell: str, call: Call) -> Iterator[tuple[str, Tensor, Tensor, Gating]]:
    layers, ways = int(call.arguments["num_layers"]), 1 + bool(call.arguments.get("bidirectional"))
    keep: Tensor | None = None
    for found in unroll(cell, call.arguments):
        keep = _kept(call, found.x) if keep is None else keep
        kept = keep.flip(0) if found.way else keep
        title = _title(found.layer, found.way, layers, ways)
        yield title, found.x[kept], found.before[kept], found.weights


def _kept(call: Call, x: Tensor) -> Tensor:
    """Return which steps count, ``(T, B)``."""
    mask = call.batch.mask
    if mask is not None and mask.mT.shape == x.shape[:2]:
        return mask.mT
    return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)


def _title(layer: int, way: int, layers: int, ways: int) -> str:
    where = [f"layer {layer}"] if layers > 1 else []
    where += ["backward" if way else "forward"] if ways > 1 else []
    return f" ({', '.join(where)})" if where else ""
