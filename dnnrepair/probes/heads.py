"""Recompute attention matrices and compare heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from dnnrepair.attention import attended, heads_of, is_attention
from dnnrepair.evidence.heads import Heads, HeadUse
from dnnrepair.probe import NotMeasuredError, probe
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from dnnrepair.attention import Attended
    from dnnrepair.probe import Batch, Call, Session
    from dnnrepair.sites import Site, Sites

IDLE_SHARE = 0.05  # of the layer's most varied head: below, a head is tried by ablation
IDLE_WEIGHT = 1e-2  # of the layer's mean slice of the output projection
MOST_TRIED = 16  # heads that are ablated, in all


@probe("heads")
class HeadsProbe:
    """Entropy, first-key mass, spread and likeness of the heads of each attention."""

    yields: ClassVar[type] = Heads
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch fused attention, and products of a softmax with values."""
        return is_attention(site, sites)

    def measure(self, call: Call) -> Heads:
        """Return the statistics of one batch."""
        found = attended(call.site, call.arguments, call.output)
        return statistics(found, call.batch.mask, crossed=_is_crossed(call.arguments))


def statistics(found: Attended, mask: Tensor | None = None, *, crossed: bool = False) -> Heads:
    """Return per-head statistics; queries at padding are left out."""
    weights, allowed, output = found.weights, found.allowed, found.output
    count, heads, tokens = allowed.shape
    kept = torch.ones(count, 1, tokens, dtype=torch.bool, device=weights.device)
    if mask is not None and mask[:count].shape == (count, tokens):
        kept = mask[:count].unsqueeze(1)
    chosen = (allowed > 1) & kept  # (N, heads, T)
    share = torch.special.entr(weights).sum(-1) / allowed.clamp(min=2).float().log()
    rows = output.movedim(1, 0)[:, kept[:, 0]]  # (heads, rows, d)
    rows = rows.double()
    flat = rows.flatten(1)
    return Heads(
        queries=int(chosen[:, 0].sum()),
        entropy=_numbers((share * chosen).double().sum((0, 2))),
        sink=_numbers((weights[..., 0] * chosen).double().sum((0, 2))),
        rows=rows.shape[1],
        total=_numbers(rows.sum(1)),
        square=_numbers(rows.square().sum(1)),
        products=_numbers(flat @ flat.mT).reshape(heads, heads),
        crossed=crossed,
    )


@probe("head-use")
class HeadUseProbe:
    """The output projection's slice of each head, and what ablating idle heads does to the loss."""

    yields: ClassVar[type] = HeadUse

    def measure_session(self, session: Session) -> Iterator[tuple[str, HeadUse]]:
        """Yield the use of the heads of each attention, by site."""
        program = session.program
        places = [site for site in program.sites if is_attention(site, program.sites)]
        if not places or not session.batches:
            message = "the network has no attention"
            raise NotMeasuredError(message)
        batch = session.batches[0]
        spread, plain = _spreads(session, batch, {site.name for site in places})
        tried = 0
        for site in places:
            written = _written(session, site)
            idle = spread[site.name] < IDLE_SHARE * spread[site.name].max(initial=0)
            idle |= written < IDLE_WEIGHT if len(written) == len(idle) else False
            chosen = np.flatnonzero(idle)[: MOST_TRIED - tried]
            tried += len(chosen)
            ablated = {
                int(head): _loss(session, batch, site, int(head)) - plain
                for head in chosen
                if session.criterion is not None
            }
            yield site.name, HeadUse(written=written, ablated=ablated)


def _spreads(
    session: Session, batch: Batch, names: set[str]
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Return the standard deviation of each head's output, by site, and the loss."""
    found: dict[str, NDArray[np.float64]] = {}

    def watch(site: Site, _arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
        if site.name in names:
            output = _output(value).double()
            output = output if output.dim() > 3 else output.unsqueeze(1)  # noqa: PLR2004
            rows = output.movedim(1, 0).flatten(1, 2)  # (heads, rows, d)
            found[site.name] = _numbers(rows.var(1, correction=0).mean(1).sqrt())

    with torch.no_grad():
        prediction = session.program.run(batch.inputs, watch=watch)
        loss = float(session.criterion(prediction, batch)) if session.criterion else 0.0
    return found, loss


def _loss(session: Session, batch: Batch, place: Site, head: int) -> float:
    """Return the loss with a head's output held at its mean over samples and tokens."""

    def watch(site: Site, _arguments: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401
        if site.name != place.name:
            return None
        changed = _output(value).clone()
        if heads_of(site) == 1:
            changed[:] = changed.mean((0, -2), keepdim=True)
        else:
            changed[:, head] = changed[:, head].mean((0, 1), keepdim=True)
        return (changed, *value[1:]) if isinstance(value, tuple) else changed

    with torch.no_grad():
        return float(session.loss()(session.program.run(batch.inputs, watch=watch), batch))


def _written(session: Session, site: Site) -> NDArray[np.float64]:
    """Return the norm of each head's slice of the projection that follows, over their mean."""
    sites, heads = session.program.sites, heads_of(site)
    reader = next((r for r in sites.readers(site) if r.kind is Kind.AFFINE), None)
    if reader is None or "weight" not in reader.tensors:
        return np.zeros(0)
    weight = session.program.tensors[reader.tensors["weight"]].detach().double()
    weight = weight if not reader.settings.get("transposed") else weight.mT
    if weight.dim() != 2 or weight.shape[1] != heads * site.shape[-1]:  # noqa: PLR2004
        return np.zeros(0)
    norms = weight.reshape(len(weight), heads, -1).norm(dim=(0, 2))
    mean = norms.mean()  # zero where the projection still has its zero initial values
    return _numbers(norms / mean if mean > 0 else torch.ones_like(norms))


def _output(value: Any) -> Tensor:  # noqa: ANN401 - a tensor or a tuple that starts with it
    first: Tensor = value[0] if isinstance(value, tuple | list) else value
    return first


def _is_crossed(arguments: Mapping[str, Any]) -> bool:
    query, key = arguments.get("query"), arguments.get("key")
    return query is not None and key is not None and query.shape[-2] != key.shape[-2]


def _numbers(values: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.double().cpu().numpy()
    return found
