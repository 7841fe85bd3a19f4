"""Plain recurrent layers replaced by gated ones, to be trained again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dnnrepair.errors import SettingError
from dnnrepair.swap_report import Promise, Swap
from dnnrepair.swapping.operation import Edited, Operation, operation
from dnnrepair.swapping.where import allowed, listed

if TYPE_CHECKING:
    from torch import Tensor, fx

    from dnnrepair.subject import Subject
    from dnnrepair.swapping.draft import Draft
    from dnnrepair.swapping.where import Where

_GATES = {"gru": 3, "lstm": 4}
_PLAIN = ("rnn_tanh", "rnn_relu")
_FORGET = 1  # which of an LSTM's four blocks


@operation("gated")
@dataclass(frozen=True, kw_only=True)
class Gated(Operation):
    """A plain recurrent layer becomes a GRU or an LSTM of the same size, with fresh weights.

    This is a re-initialization: what the layer had learned is lost, and the network has to be
    trained again. Input weights are uniform (Glorot and Bengio 2010), recurrent matrices orthogonal
    (Saxe et al. 2013), the forget gate's bias 1 (Jozefowicz et al. 2015).
    """

    kind: str = "gru"  # gru or lstm

    def edit(
        self, draft: Draft, subject: Subject, where: Where, generator: torch.Generator
    ) -> Edited:
        """Replace them; see :meth:`Operation.edit`."""
        if self.kind not in _GATES:
            message = f"no gated layer is called {self.kind!r}; known: {', '.join(_GATES)}"
            raise SettingError(message)
        sites = subject.running.sites
        chosen = where.choose(sites, lambda site: site.op in _PLAIN, "plain recurrent layers")
        kept, skipped = allowed(subject, chosen, where)
        for site in kept:
            node = draft.node(site.name)
            for name in site.tensors.values():
                fresh = _fresh(draft.tensors[name], name, self.kind, generator)
                draft.change(name, fresh)
            self._replace(node)
        layers = tuple(dict.fromkeys(site.layer for site in kept))
        swap = Swap(
            operation=self.name,
            layers=layers,
            summary=f"{listed(layers)} became {self.kind.upper()} with fresh weights",
            settings=(f"kind = {self.kind}",),
            promise=Promise.CHANGES,
            reason="a re-initialization: train the network again",
        )
        return Edited(swaps=(swap,), skipped=skipped)

    def _replace(self, node: fx.Node) -> None:
        aten = torch.ops.aten
        node.target = aten.gru.input if self.kind == "gru" else aten.lstm.input
        if self.kind == "lstm":  # the state and the cell start as the plain layer's state did
            first, state, *rest = node.args
            node.args = (first, [state, state], *rest)


def _fresh(old: Tensor, name: str, kind: str, generator: torch.Generator) -> Tensor:
    gates = _GATES[kind]
    if old.dim() == 1:
        biases = torch.zeros(gates, len(old), dtype=old.dtype)
        if kind == "lstm" and "bias_ih" in name:
            biases[_FORGET] = 1
        return biases.reshape(-1)
    draw = torch.nn.init.orthogonal_ if "weight_hh" in name else torch.nn.init.xavier_uniform_
    parts = [draw(torch.empty_like(old, device="cpu"), generator=generator) for _ in range(gates)]
    return torch.cat(parts).to(old.device)
