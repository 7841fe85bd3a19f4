"""The suffix and the fitness as one compiled function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from dnnrepair.errors import DnnRepairError
from dnnrepair.loading.quiet import first_line
from dnnrepair.population.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from dnnrepair.population.blocks import Block
    from dnnrepair.population.scores import Judge
    from dnnrepair.population.suffix import Suffix

    Compiled = Callable[..., tuple[Tensor, Tensor]]


@dataclass
class Compiler:
    """Evaluates chunks of one size by a function that ``torch.compile`` made.

    The interpretation of the suffix is traced once per shape of block, with all that was recorded
    of the block as arguments, so that blocks share the function. Chunks are filled up to one size,
    because each size would be compiled anew.

    Attributes:
        suffix: what the patch can change.
        judge: turns predictions into fitness.
        chunk: candidates at a time.
        backend: of ``torch.compile``.
        functions: compiled so far, by the shapes of their arguments.
    """

    suffix: Suffix
    judge: Judge
    chunk: int
    backend: str = "inductor"
    functions: dict[Hashable, Compiled] = field(default_factory=dict)

    def judged(self, values: Tensor, block: Block, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return verdicts ``(p, n)`` and sums ``(F, p)``; see :meth:`Judge.judge`.

        Raises:
            DnnRepairError: if the function cannot be compiled.
        """
        count = len(values)
        index = torch.arange(self.chunk, device=values.device) % count
        kept = block.frame.tensors()
        weights = weights[:, index] if weights.dim() > 2 else weights  # noqa: PLR2004 - (F, p, n)
        arguments = [values[index], block.targets, weights, *kept.values()]
        signature = tuple((tuple(a.shape), a.dtype, a.stride()) for a in arguments)
        try:
            if signature not in self.functions:
                self.functions[signature] = self._compiled(block, list(kept), arguments)
            right, sums = self.functions[signature](*arguments)
        except Exception as error:
            message = f"the search cannot be compiled ({first_line(error)}); leave `compiled` out"
            raise DnnRepairError(message) from error
        return right[:count], sums[:, :count]

    def _compiled(self, block: Block, keys: list[Hashable], arguments: list[Tensor]) -> Compiled:
        fixed = {k: v for k, v in block.frame.kept.items() if not isinstance(v, Tensor)}

        def run(
            values: Tensor, targets: Tensor, weights: Tensor, *tensors: Tensor
        ) -> tuple[Tensor, Tensor]:
            kept: dict[Hashable, Any] = {**fixed, **dict(zip(keys, tensors, strict=True))}
            frame = Frame(self.suffix.constants, kept)
            prediction = self.suffix.run(frame, self.suffix.chunk(values))
            outputs = self.judge.outputs(prediction, targets, None)
            return self.judge.judge(outputs, targets, weights)

        graph = make_fx(run)(*arguments)
        made: Compiled = torch.compile(graph, backend=self.backend, dynamic=False)
        return made
