"""Evaluating all candidates of a population together, block by block of inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dnnrepair.backends import full_precision
from dnnrepair.errors import SettingError
from dnnrepair.fitness.fitness import SCALE, Weighted
from dnnrepair.kernels import differing
from dnnrepair.population.compiled import Compiler
from dnnrepair.population.fused import TOLERANCE, fused_blocks
from dnnrepair.population.memory import TooLargeError, fitting
from dnnrepair.population.places import check_values
from dnnrepair.population.tally import Tally
from dnnrepair.population.values import Sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dnnrepair import kernels
    from dnnrepair.population.blocks import Block
    from dnnrepair.population.certified import Dropped
    from dnnrepair.population.places import Places
    from dnnrepair.population.scores import Judge
    from dnnrepair.population.suffix import Suffix
    from dnnrepair.population.values import Dense
    from dnnrepair.sharding import Shards


@dataclass(repr=False)
class BatchedEvaluator:
    """Evaluates through the suffix of the graph; see :mod:`dnnrepair.population.suffix`.

    Attributes:
        suffix: what the patch can change.
        judge: turns predictions into fitness.
        layout: cuts this process's inputs into blocks of a size.
        block: that size.
        chunk: candidates at a time.
        samples: N, of all processes.
        shards: this process's place among those that share the inputs.
        dropped: inputs that need no evaluation.
        box: bounds of the values if inputs were dropped for them; None for any values.
        abandon: stop evaluating candidates that cannot reach their threshold.
        fuse: whether to use fused kernels; see :class:`EvaluatorSettings`.
        backend: of ``torch.compile``, "" to interpret.
        notes: what the user should know.
    """

    suffix: Suffix
    judge: Judge
    layout: Callable[[int], list[Block]]
    block: int
    chunk: int
    samples: int
    shards: Shards
    dropped: Dropped
    box: tuple[Tensor, Tensor] | None = None
    abandon: bool = True
    fuse: bool | None = None
    backend: str = ""
    notes: list[str] = field(default_factory=list)
    blocks: Sequence[Block] = ()
    fused: Sequence[kernels.Evaluator] | None = None
    compiler: Compiler | None = None

    def __post_init__(self) -> None:
        """Record the blocks."""
        self._lay_out(self.block)

    def __repr__(self) -> str:
        """Show sizes only: the fields hold all cached activations."""
        sizes = {"places": len(self.places), "samples": self.samples, "block": self.block}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in sizes.items())})"

    @property
    def places(self) -> Places:
        """The patched weights."""
        return self.suffix.places

    @property
    def originals(self) -> Tensor:
        """Their present values, ``(k,)``."""
        return self.suffix.originals

    @property
    def abandons(self) -> bool:
        """Whether a threshold saves work: a partial sum bounds the fitness and is known here."""
        bounded = isinstance(self.judge.fitness, Weighted) and self.shards.world == 1
        return self.abandon and bounded and len(self.blocks) > 1 and self.fused is None

    @property
    def replayable(self) -> bool:
        """Whether a generation is a few kernels, whose launches take longer than they do."""
        here = self.fused is not None and self.originals.is_cuda
        return here and self.shards.world == 1

    @torch.no_grad()
    @full_precision()
    def __call__(self, values: Tensor, threshold: Tensor | None = None) -> Tensor:
        """Return the fitness of each candidate; see :class:`Evaluator`."""
        flat = values.flatten(0, -2)
        check_values(flat, self.places, self.box)
        searches = len(values) if values.dim() > 2 else 1  # noqa: PLR2004 - (S, P, k)
        known = self.judge.fitness.weights.shape[1]
        if searches != known:
            message = f"values are of {searches} searches, the fitness weighs inputs for {known}"
            raise SettingError(message)
        wanted = threshold.reshape(-1) if threshold is not None and self.abandons else None
        sums = self._fitting(lambda: self._sums(flat, searches, wanted))
        return self.judge.total(sums).view(values.shape[:-1])

    @torch.no_grad()
    @full_precision()
    def verdicts(self, values: Tensor) -> Tensor:
        """Return which inputs each candidate ``(P, k)`` gets right, ``(P, N)`` bool on the CPU."""
        check_values(values, self.places, self.box)
        return self._fitting(lambda: self._verdicts(values))

    @torch.no_grad()
    @full_precision()
    def logits(self, values: Tensor) -> Tensor:
        """Return the predictions of each candidate ``(P, k)``, ``(P, N, ...)`` on the CPU.

        Raises:
            SettingError: if inputs were dropped, or other processes have some.
        """
        check_values(values, self.places)
        if self.dropped.keep is not None or self.shards.world > 1:
            message = (
                "logits are known for evaluated inputs only; prepare without box, on one process"
            )
            raise SettingError(message)
        return self._fitting(lambda: self._logits(values))

    def _sums(self, values: Tensor, searches: int, threshold: Tensor | None) -> Tensor:
        """Return the weighted sums ``(F, P)`` over all inputs, as whole numbers of 2^-24."""
        if self.fused is not None and self.dropped.keep is None:
            return self.shards.sum(self._by_kernels(values))  # where every small operation counts
        search_of = torch.arange(len(values), device=values.device) // (len(values) // searches)
        if self.fused is None:
            mine = self._by_block(values, search_of, threshold)
        else:
            mine = self._by_kernels(values)
        return self.shards.sum(mine) + self.dropped.sums[:, search_of]

    def _by_kernels(self, values: Tensor) -> Tensor:
        """Return the sums over this process's inputs."""
        assert self.fused is not None  # asked for only then  # noqa: S101
        change = self.suffix.chunk(values).change
        return reduce(add, (one(change).fitness for one in self.fused)).mul(SCALE).unsqueeze(0)

    def _by_block(self, values: Tensor, search_of: Tensor, threshold: Tensor | None) -> Tensor:
        """Return the same, block by block of inputs."""
        tally = Tally.of(self.judge, self.dropped.sums, self.blocks, search_of, threshold)
        for block in self.blocks:
            there = block.there()
            for part in self._chunks(tally.enter(block)):
                weights = self._weights(there, search_of[part])
                tally.sums[:, part] += self._judged(values[part], there, weights)[1]
        return tally.result()

    def _weights(self, block: Block, search_of: Tensor) -> Tensor:
        """Return the weights ``(F, n)``, or ``(F, p, n)`` where searches differ."""
        if block.weights.shape[1] == 1:
            return block.weights[:, 0]
        return block.weights[:, search_of]

    def _verdicts(self, values: Tensor) -> Tensor:
        right = torch.zeros(len(values), self.samples, dtype=torch.bool)
        if self.dropped.keep is not None and self.shards.rank == 0:
            right[:, ~self.dropped.keep] = True
        for block in self.blocks:
            there = block.there()
            parts = [self._judged(p, there, there.weights[:, 0])[0] for p in self._chunks(values)]
            right[:, block.indices] = torch.cat(parts)[:, : len(block)].cpu()
        return self.shards.sum(right.to(torch.uint8)).to(torch.bool)

    def _logits(self, values: Tensor) -> Tensor:
        found: Tensor | None = None
        for block in self.blocks:
            there = block.there()
            parts = [self._predict(part, there) for part in self._chunks(values)]
            full = [p.dense() if isinstance(p, Sparse) else p.values for p in parts]
            rows = torch.cat([part[:, : len(block)].cpu() for part in full])
            if found is None:
                found = rows.new_empty(len(values), self.samples, *rows.shape[2:])
            found[:, block.indices] = rows
        assert found is not None  # there is at least one block  # noqa: S101
        return found

    def _chunks(self, candidates: Tensor) -> Sequence[Tensor]:
        """Cut along the first dimension, evenly: the few of a remainder would cost as a full chunk.

        Compiled functions are for one size, to which smaller chunks are filled up.
        """
        if self.backend:
            return torch.split(candidates, self.chunk)
        return torch.tensor_split(candidates, max(1, -(-len(candidates) // self.chunk)))

    def _judged(self, values: Tensor, block: Block, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return verdicts ``(p, n)`` and sums ``(F, p)``; see :meth:`Judge.judge`."""
        if self.backend:
            return self._compiler.judged(values, block, weights)
        return self._judged_by_graph(values, block, weights)

    def _judged_by_graph(
        self, values: Tensor, block: Block, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        prediction = self._predict(values, block)
        outputs = self.judge.outputs(prediction, block.targets, block.frame.recall)
        return self.judge.judge(outputs, block.targets, weights)

    @property
    def _compiler(self) -> Compiler:
        """What compiles for chunks of the present size."""
        if self.compiler is None or self.compiler.chunk != self.chunk:
            self.compiler = Compiler(self.suffix, self.judge, self.chunk, self.backend)
        return self.compiler

    def _predict(self, values: Tensor, block: Block) -> Sparse | Dense:
        return self.suffix.run(block.frame, self.suffix.chunk(values))

    def _lay_out(self, size: int) -> None:
        """Record the inputs in blocks of a size, or of half of it where memory is short."""
        self.block = size
        self.blocks, self.fused = (), None  # give their memory back first
        try:
            self.blocks = fitting(lambda: self.layout(size))
        except TooLargeError as error:
            self._halve_block(error)
            return
        self.fused = fused_blocks(self.suffix, self.judge, self.blocks, force=self.fuse)
        if self.fused and (reason := self._distrust(self.fused[0], self.blocks[0])):
            self.fused = None
            self.notes.append(f"evaluating without fused kernels: {reason}")

    @torch.no_grad()
    @full_precision()
    def _distrust(self, kernel: kernels.Evaluator, block: Block) -> str:
        """Return why kernels are not to be used: what one answers for a block is compared."""
        searches = torch.arange(self.judge.fitness.weights.shape[1], device=self.originals.device)
        values = (1.01 * self.originals + 0.01).expand(len(searches), -1)  # one for each

        def plain() -> Iterator[Tensor]:
            for part in self._chunks(searches):
                weights = self._weights(block, part)
                yield self._judged_by_graph(values[part], block, weights)[1]

        return differing(
            lambda: [kernel(self.suffix.chunk(values).change).fitness.unsqueeze(0) * SCALE],
            lambda: [torch.cat(list(plain()), 1)],
            TOLERANCE,
        )

    def _fitting(self, work: Callable[[], Tensor]) -> Tensor:
        """Do some work; where memory does not suffice, halve the chunk, then the block."""
        while True:
            try:
                return fitting(work)
            except TooLargeError as error:
                self._shrink(error)

    def _shrink(self, error: TooLargeError) -> None:
        if self.chunk > 1:
            self.chunk //= 2
            self.notes.append(f"memory was short: {self.chunk} candidates at a time")
        else:
            self._halve_block(error)

    def _halve_block(self, error: TooLargeError) -> None:
        fixed = self.suffix.program.batch_size is not None or self.shards.world > 1
        if self.block == 1 or fixed:
            raise error
        self.notes.append(f"memory was short: {self.block // 2} inputs at a time")
        self._lay_out(self.block // 2)
