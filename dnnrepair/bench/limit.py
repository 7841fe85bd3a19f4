"""What the machine would allow: the work that a suffix needs over what a core can do.

The work is counted for the cheapest way known: only the changed units of the patched layer, the
next layer through these units alone, then what depends on all of it. Counted are products
(multiply and add, 2 FLOP), operations on single elements up to the second layer, and the recorded
activations, which have to be read once for all candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dnnrepair.bench.loops import without_fused_attention
from dnnrepair.bench.timing import Entrant
from dnnrepair.bench.workloads import WRONG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dnnrepair.bench.workloads import Workload

MATMUL, CONV, COPY, ELEMENTWISE = "matmul", "convolution", "copy", "elementwise"
_BYTES = 4  # of a float32
_CLASSES = 10
_CALLS = 10  # between two looks at the clock, which take longer than a small operation
_ANSWER = _CLASSES + WRONG * 3 * _CLASSES  # largest output of each; softmax of the wrong inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the suffix needs.

    Attributes:
        products: FLOP of matrix products and convolutions, per candidate and input.
        elementwise: operations on single elements, per candidate and input.
        recorded: bytes per input, read once for all candidates.
    """

    products: float
    elementwise: float
    recorded: float

    def limit(self, samples: int, candidates: int, rates: Mapping[str, float]) -> float:
        """Return the most candidates per second.

        Args:
            samples: N.
            candidates: P, which share the reading of what is recorded.
            rates: what the core does per second, as :func:`abilities` measures it.
        """
        seconds = max(
            self.products / max(rates[MATMUL], rates[CONV]),
            self.elementwise / rates[ELEMENTWISE],
            self.recorded / candidates / rates[COPY],
        )
        return 1 / (samples * seconds)


def abilities() -> list[Entrant]:
    """Return what measures a core: FLOP, bytes moved and in-cache operations per CPU second."""
    rng = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 768, 768, generator=rng)
    image = torch.randn(16, 32, 32, 32, generator=rng).to(memory_format=torch.channels_last)
    kernel = torch.randn(32, 32, 3, 3, generator=rng).to(memory_format=torch.channels_last)
    large = torch.randn(1 << 24, generator=rng)  # 64 MiB, beyond any cache
    there = torch.empty_like(large)
    small = torch.randn(1 << 15, generator=rng)  # 128 KiB
    total = torch.zeros_like(small)
    flop = 2.0 * image.numel() * kernel[0].numel()
    return [
        _ability(MATMUL, lambda: torch.mm(left, right), 2.0 * 768**3),
        _ability(CONV, lambda: F.conv2d(image, kernel, padding=1), flop),
        _ability(COPY, lambda: there.copy_(large), 2.0 * _BYTES * large.numel()),
        _ability(ELEMENTWISE, lambda: total.add_(small, alpha=0.5), 2.0 * small.numel()),
    ]


def _ability(name: str, work: Callable[[], object], amount: float) -> Entrant:
    def counted() -> float:
        with torch.inference_mode():
            for _ in range(_CALLS):
                work()
        return amount * _CALLS

    return Entrant(name, counted)


def work_of(workload: Workload) -> Work:
    """Return what a workload's suffix needs."""
    k = len(workload.places)
    units = len({place.index[0] for place in workload.places})
    return _FORMULAS[workload.recipe.name](workload, k, units)


def _head(_workload: Workload, k: int, u: int) -> Work:
    """2k for the sums, one for each changed class, and the answer."""
    return Work(products=0, elementwise=2 * k + u + _ANSWER, recorded=_BYTES * (k + _CLASSES))


def _then_linear(positions: int, outputs: int, after: float = 0.0) -> Callable[..., Work]:
    """Return the formula of a patched layer, an activation, and a layer with ``outputs`` units.

    ``positions (2k + 2u)`` for the sums, activation and difference; ``2 positions u outputs`` for
    the next layer, and ``after`` FLOP for what follows.
    """

    def formula(_workload: Workload, k: int, u: int) -> Work:
        return Work(
            products=2.0 * positions * u * outputs + after,
            elementwise=positions * (2 * k + 2 * u) + _ANSWER,
            recorded=_BYTES * (positions * (k + u) + outputs),
        )

    return formula


def _pooled(_workload: Workload, k: int, u: int) -> Work:
    """8 x 8 positions, each 2k for the sums and 3u for shortcut, ReLU and mean; then the head."""
    return Work(
        products=2.0 * u * _CLASSES,
        elementwise=64 * (2 * k + 3 * u) + _ANSWER,
        recorded=_BYTES * 64 * (k + 2 * u),
    )


def _lstm(workload: Workload, k: int, _u: int) -> Work:
    """30 steps, each with the product of state and kernel and 9 operations on a unit."""
    hidden, steps = 64, workload.inputs.shape[1]
    return Work(
        products=2.0 * (steps * 4 * hidden * hidden + hidden * _CLASSES),
        elementwise=steps * (2 * k + 9 * hidden) + _ANSWER,
        recorded=_BYTES * steps * (k + 4 * hidden),
    )


def _residual(workload: Workload, k: int, u: int) -> Work:
    """FLOP of the suffix, but for the patched convolution and what the next needs not do."""
    name = workload.recipe.layers[0].removesuffix(".weight")
    first = workload.module.get_submodule(name).weight
    assert isinstance(first, torch.Tensor)  # of a convolution  # noqa: S101
    size = workload.inputs.shape[-1] ** 2 * 16 // len(first)  # elements of a plane
    size = size * 16 // len(first)  # stages halve the side where they double the channels
    conv = 2.0 * size * first.numel()
    spared = conv + conv * len(first) / first.shape[1] * (1 - u / len(first))
    return Work(
        products=suffix_flop(workload) - spared,
        elementwise=size * (2 * k + 3 * u),
        recorded=_BYTES * size * (k + u),
    )


def _attention(workload: Workload, k: int, u: int) -> Work:
    """FLOP of the suffix but for the patched projection."""
    tokens, width = workload.inputs.shape[1], 64
    return Work(
        products=suffix_flop(workload) - 2.0 * tokens * 3 * width * width,
        elementwise=tokens * (2 * k + u),
        recorded=_BYTES * tokens * (k + 4 * width),
    )


_FORMULAS: dict[str, Callable[[Workload, int, int], Work]] = {
    "head": _head,
    "hidden": _then_linear(1, _CLASSES),
    "conv, 2 channels": _then_linear(784, 128, after=2.0 * 128 * _CLASSES),
    "conv, 9 channels": _then_linear(784, 128, after=2.0 * 128 * _CLASSES),
    "lstm": _lstm,
    "resnet20, early": _residual,
    "resnet20, middle": _residual,
    "resnet20, late": _pooled,
    "attention": _attention,
    "transformer mlp": _then_linear(64, 64, after=2.0 * 64 * _CLASSES),
}


def suffix_flop(workload: Workload) -> float:
    """Return the FLOP per input of the suffix as a user would cut it, counted by torch."""
    some = workload.inputs[:2]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), without_fused_attention():
        kept = workload.recipe.split.before(workload.module, some)
        with counter:
            workload.recipe.split.after(workload.module, *kept)
    return float(counter.get_total_flops()) / len(some)
