"""The evaluator's rivals: what a competent user of torch would write, on the live module.

They share no code with :mod:`dnnrepair.population`, so agreement with them means something.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dnnrepair.bench.workloads import Workload

    Loop = Callable[[Tensor], "Answer"]
    Blocks = Sequence[tuple[Tensor, ...]]

BLOCK = 128  # inputs whose activations stay in a core's cache
VMAP_MEMORY = 1.5e9  # bytes that the candidates of one call may take
_LIVE = 3  # values of the largest width that exist at a time under vmap, roughly


@dataclass(frozen=True, slots=True)
class Answer:
    """What P candidates do on N inputs.

    Attributes:
        fitness: ``(P,)`` float64.
        verdicts: which inputs are classified right, ``(P, N)`` bool.
    """

    fitness: Tensor
    verdicts: Tensor


def naive(workload: Workload, block: int | None = None) -> Loop:
    """Return the loop that writes the weights, runs the whole network and restores the weights.

    Args:
        workload: what to evaluate.
        block: inputs at a time; None for all in one batch.
    """
    blocks = [(part,) for part in workload.inputs.split(block or len(workload.inputs))]
    return partial(_one_by_one, workload, workload.module, blocks)


def cached_prefix(workload: Workload, block: int | None = None) -> Loop:
    """Return the same loop over what comes after the prefix, which is computed here, once."""
    split = workload.recipe.split
    with torch.inference_mode():
        parts = [split.before(workload.module, part) for part in workload.inputs.split(BLOCK)]
        kept = [torch.cat(values) for values in zip(*parts, strict=True)]
    blocks = list(zip(*(value.split(block or len(value)) for value in kept), strict=True))
    return partial(_one_by_one, workload, partial(split.after, workload.module), blocks)


def vmap(workload: Workload, chunk: int) -> Loop:
    """Return ``torch.vmap`` over the patched tensors of ``chunk`` candidates at a time.

    The whole network runs, but what comes before the patch runs once for a chunk.
    """

    def one(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return _score(functional_call(workload.module, tensors, (workload.inputs,)), workload)

    def run(values: Tensor) -> Answer:
        with torch.inference_mode(), without_fused_attention():
            stacks = (_stacked(workload, part) for part in values.split(chunk))
            scores = [torch.vmap(one)(stack) for stack in stacks]
        fitness, verdicts = zip(*scores, strict=True)
        return Answer(torch.cat(fitness), torch.cat(verdicts))

    return run


def vmap_chunk(workload: Workload) -> int:
    """Return how many candidates at a time keep :func:`vmap` within its memory, at least 1."""
    tensors = dict(workload.module.named_parameters())
    weights = sum(tensors[name].numel() for name in workload.recipe.layers)
    values = len(workload.inputs) * workload.recipe.width * _LIVE
    return max(1, int(VMAP_MEMORY / (4 * (weights + values))))


def _one_by_one(
    workload: Workload, network: Callable[..., Tensor], blocks: Blocks, values: Tensor
) -> Answer:
    scores = []
    with torch.inference_mode():
        for candidate in values:
            with _written(workload, candidate):
                logits = [network(*block) for block in blocks]
            scores.append(_score(logits[0] if len(logits) == 1 else torch.cat(logits), workload))
    fitness, verdicts = zip(*scores, strict=True)
    return Answer(torch.stack(fitness), torch.stack(verdicts))


def _score(logits: Tensor, workload: Workload) -> tuple[Tensor, Tensor]:
    """Return fitness (scalar) and verdicts ``(N,)`` from logits ``(N, classes)``.

    Arachne's fitness: 1 for a right input, else ``1 / (1 + cross entropy)``, weighted and summed
    (Sohn, Kang and Yoo, TOSEM 2023, equations 3 and 4).
    """
    right = logits.argmax(1) == workload.labels
    loss = F.cross_entropy(logits, workload.labels, reduction="none")
    terms = torch.where(right, 1.0, 1 / (1 + loss))
    return (terms * workload.weights).sum(dtype=torch.float64), right


@contextmanager
def _written(workload: Workload, candidate: Tensor) -> Iterator[None]:
    """Write one candidate ``(k,)`` into the live module for a while."""
    targets = [(name, _index(workload, name)) for name in workload.recipe.layers]
    tensors = dict(workload.module.named_parameters())
    saved = {name: tensors[name][index].clone() for name, index in targets}
    try:
        for name, index in targets:
            tensors[name][index] = candidate[_columns(workload, name)]
        yield
    finally:
        for name, index in targets:
            tensors[name][index] = saved[name]


def _stacked(workload: Workload, values: Tensor) -> dict[str, Tensor]:
    """Return the patched tensors, each ``(p, *shape)``, with the values ``(p, k)`` written."""
    tensors = dict(workload.module.named_parameters())
    stacks = {}
    for name in workload.recipe.layers:
        stack = tensors[name].detach().expand(len(values), *tensors[name].shape).clone()
        stack.movedim(0, -1)[_index(workload, name)] = values[:, _columns(workload, name)].T
        stacks[name] = stack
    return stacks


def _columns(workload: Workload, name: str) -> list[int]:
    return [i for i, place in enumerate(workload.places) if place.tensor == name]


def _index(workload: Workload, name: str) -> tuple[Tensor, ...]:
    own = [place.index for place in workload.places if place.tensor == name]
    return tuple(torch.tensor(axis) for axis in zip(*own, strict=True))


@contextmanager
def without_fused_attention() -> Iterator[None]:
    """Keep torch from fused attention, which vmap would run candidate by candidate."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
