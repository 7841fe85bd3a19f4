"""The part of a network that some of its parameters can change, as a function of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from dnnrepair.errors import ModelError
from dnnrepair.population.places import twins_of, with_twins
from dnnrepair.population.step import steps_of
from dnnrepair.program import GraphProgram

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dnnrepair.population.step import Step
    from dnnrepair.program import Program

Recorded = tuple[Tensor, ...]  # what the tail reads of some inputs
MOST = 4  # times the input's size that may be kept of each input


@dataclass(frozen=True)
class Tail:
    """Runs what depends on some parameters, from what was recorded of the rest; differentiable.

    Where the network is no graph, or overwrites parts of its values, the tail is all of it.

    Attributes:
        program: the whole network.
        names: of the parameters.
        steps: the operations that depend on them; empty if the tail is the whole network.
        reads: what these read from outside: who makes it, and under which node's name it stands.
    """

    program: Program
    names: frozenset[str]
    steps: tuple[Step, ...] = ()
    reads: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program, names: Collection[str]) -> Tail:
        """Cut a network in front of the first operation that reads one of these parameters.

        Raises:
            ModelError: if the prediction does not depend on them.
        """
        given = sorted(names)
        known = [name for name in names if name in program.tensors]
        names = {twin for name in known for twin in (name, *twins_of(program, name))}
        if not isinstance(program, GraphProgram) or program.writes.aliased:
            return cls(program, frozenset(names))
        steps = tuple(steps_of(program, names))
        if not steps:
            message = f"the prediction depends on none of the parameters {', '.join(given)}"
            raise ModelError(message)
        inside = {name for step in steps for name in step.names}
        outside = {
            maker_of(step, source): None
            for step in steps
            for source in step.node.all_input_nodes
            if source.name not in inside and source.name not in program.tensor_of_node
        }
        return cls(program, frozenset(names), steps, {key: i for i, key in enumerate(outside)})

    @torch.no_grad()
    def record(self, inputs: Sequence[Tensor]) -> Recorded:
        """Run the network up to the tail, and return what the tail reads of these inputs."""
        if not self.steps:
            return tuple(inputs)
        assert isinstance(self.program, GraphProgram)  # noqa: S101 - that has steps
        makers: dict[str, list[tuple[str, str]]] = {}
        for key in self.reads:
            makers.setdefault(key[0], []).append(key)
        found: dict[tuple[str, str], Any] = {}
        for node, live in self.program.walk(inputs):
            for key in makers.get(node.name, ()):
                found[key] = live[key[1]]
            if len(found) == len(self.reads):
                break
        return tuple(found[key] for key in self.reads)

    def run(self, recorded: Recorded, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the prediction.

        Args:
            recorded: of the inputs, by :meth:`record`.
            tensors: values that stand in for the program's own, by name.
        """
        if not self.steps:
            return self.program.run(recorded, tensors=with_twins(self.program, tensors))
        assert isinstance(self.program, GraphProgram)  # noqa: S101 - that has steps
        program = self.program
        values = {**program.tensors, **with_twins(program, tensors)}
        env: dict[str, Any] = {}
        for step in self.steps:

            def value(node: fx.Node, step: Step = step) -> Any:  # noqa: ANN401 - any value
                if node.name in env:
                    return env[node.name]
                if node.name in program.tensor_of_node:
                    return values[program.tensor_of_node[node.name]]
                return recorded[self.reads[maker_of(step, node)]]

            args, kwargs = fx.map_arg((step.node.args, step.node.kwargs), value)
            if "device" in kwargs:
                kwargs = {**kwargs, "device": program.device}
            found = step.operation(*args, **kwargs)
            env.update(dict.fromkeys(step.names, found))
            for name in step.forgotten:
                env.pop(name, None)
        prediction: Tensor = env[str(program.sites.output)]
        return prediction


def maker_of(step: Step, source: fx.Node) -> tuple[str, str]:
    """Return which node makes a value that a step reads, and under which name it stands then."""
    return step.writers.get(source.name, source.name), source.name


def affordable(recorded: Recorded, inputs: Sequence[Tensor]) -> bool:
    """Tell whether as much as was recorded of these inputs may be kept of all."""
    held = sum(value.numel() for value in recorded if isinstance(value, Tensor))
    return held <= MOST * sum(value.numel() for value in inputs)
