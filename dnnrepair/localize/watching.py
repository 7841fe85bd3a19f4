"""Run a batch and note every use of suspected weights on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dnnrepair.fixed_batch import filled
from dnnrepair.localize.affine import AffineUse
from dnnrepair.localize.layout import Layout, layouts
from dnnrepair.localize.recurrent import RecurrentUse
from dnnrepair.program import GraphProgram
from dnnrepair.sites import Kind
from dnnrepair.unrolled import Direction, Gating, is_plain, joined, states_of, unroll

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from dnnrepair.localize.head import Head
    from dnnrepair.localize.use import Use
    from dnnrepair.localize.weights import Weights
    from dnnrepair.probe import Batch
    from dnnrepair.program import Program
    from dnnrepair.sites import Site


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network whose weights are watched.

    Attributes:
        program: runs it.
        weights: which are suspected.
        head: how it ends.
        layouts: where the samples lie in what an operation returns, by the operation's site.
        published: define the impact of convolutions and recurrent layers as published.
        device: where it runs.
    """

    program: Program
    weights: Weights
    head: Head
    layouts: Mapping[str, Layout | None]
    published: bool
    device: torch.device

    @classmethod
    def of(  # noqa: D102 - as a constructor
        cls,
        program: Program,
        weights: Weights,
        head: Head,
        example: Batch,
        *,
        published: bool,
        device: torch.device,
    ) -> Network:
        found: dict[str, Layout | None] = {}
        if isinstance(program, GraphProgram):
            affine = [s for s in program.sites.of(Kind.AFFINE) if _concerns(s, weights)]
            inputs = tuple(x.to(device) for x in example.inputs)
            found = layouts(program, inputs, {site.name for site in affine})
        return cls(
            program=program,
            weights=weights,
            head=head,
            layouts=found,
            published=published,
            device=device,
        )

    def run(self, batch: Batch) -> Run:
        """Run a batch; where gradients are enabled, they lead to the weights and to each use."""
        inputs = filled(batch.inputs, self.program.batch_size, self.device)
        watcher = _Watcher(self, len(inputs[0]))
        watch = watcher if isinstance(self.program, GraphProgram) else None
        prediction = self.program.run(inputs, tensors=self.weights.values, watch=watch)
        logits = prediction if watcher.logits is None else watcher.logits
        return Run(logits[: len(batch)], watcher.uses, len(batch))


@dataclass(frozen=True, slots=True)
class Run:
    """What a batch showed.

    Attributes:
        logits: of the samples.
        uses: of suspected weights, in the order of the network.
        samples: how many count; others may fill up a batch of fixed size.
    """

    logits: Tensor
    uses: Sequence[Use]
    samples: int


@dataclass
class _Watcher:
    """Called after each operation."""

    network: Network
    samples: int
    uses: list[Use] = field(default_factory=list)
    logits: Tensor | None = None

    def __call__(self, site: Site, arguments: Mapping[str, Any], value: Any) -> Any | None:  # noqa: ANN401
        """Note what the operation does with suspected weights."""
        if site.name == self.network.head.squashing:
            self.logits = arguments["input"]
        if not _concerns(site, self.network.weights):
            return None
        if site.kind is Kind.AFFINE:
            self._note_affine(site, arguments, value)
        elif site.op.endswith("_cell"):
            return self._note_cell(site, arguments, value)
        elif site.kind is Kind.RECURRENT and is_plain(arguments):
            return self._note_layers(site, arguments)
        return None

    def _note_affine(self, site: Site, arguments: Mapping[str, Any], value: Tensor) -> None:
        layout = self.network.layouts.get(site.name)
        if layout is not None:
            published = self.network.published
            use = AffineUse.of(site, arguments, value, layout, self.samples, published=published)
            self.uses.append(use)

    def _note_layers(self, site: Site, arguments: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Return what the operation returns, computed layer by layer."""
        directions = list(unroll(site.op, arguments))
        for direction in directions:
            self._note(f"{site.name}, {direction.layer}, {direction.way}", site.op, direction)
        return joined(directions, batch_first=bool(arguments.get("batch_first")))

    def _note_cell(self, site: Site, arguments: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401
        """Return what the cell returned, by way of a sequence of one step."""
        hidden, *rest = value if isinstance(value, tuple | list) else (value,)
        output = hidden.unsqueeze(0)
        direction = Direction(
            layer=0,
            way=0,
            x=arguments["input"].unsqueeze(0),
            states=tuple(state.unsqueeze(0) for state in states_of(arguments["hx"])),
            weights=Gating(
                w_ih=arguments["w_ih"],
                w_hh=arguments["w_hh"],
                b_ih=arguments.get("b_ih"),
                b_hh=arguments.get("b_hh"),
            ),
            output=output,
            last=(),
        )
        self._note(site.name, site.op.removesuffix("_cell"), direction)
        return (output[0], *rest) if rest else output[0]

    def _note(self, key: str, cell: str, direction: Direction) -> None:
        use = RecurrentUse(key=key, cell=cell, direction=direction, pooled=self.network.published)
        self.uses.append(use)


def _concerns(site: Site, weights: Weights) -> bool:
    return any(weights.suspects(name) for name in site.tensors.values())
