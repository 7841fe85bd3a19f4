"""The part of the graph that a patch can change, run for many candidates at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, fx

from dnnrepair.errors import ModelError
from dnnrepair.graph import is_ignored, named_arguments, operation_name
from dnnrepair.population.call import Call, Rule, fetched, rules, varies
from dnnrepair.population.frame import Chunk, Constants, Frame
from dnnrepair.population.operations.generic import generic
from dnnrepair.population.operations.parameters import view_of_parameter
from dnnrepair.population.values import Dense, Edited, Shared, Sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dnnrepair.population.places import Places
    from dnnrepair.program import GraphProgram

SHAPE = "prediction shape"  # under this key a frame keeps it


@dataclass(frozen=True)
class Step:
    """One operation of the suffix.

    Attributes:
        node: as in the graph.
        op: canonical name.
        operation: the function, never one that works in place.
        overwrites: name of the node that it overwrites, "" if none.
        named: arguments by schema name, with nodes in place of values.
        rule: for values that differ between candidates; None if there is none.
        writers: of its arguments from outside the suffix, which operation last overwrote them.
        forgotten: nodes that no later step reads.
    """

    node: fx.Node
    op: str
    operation: Any
    overwrites: str
    named: Mapping[str, Any]
    rule: Rule | None = None
    writers: Mapping[str, str] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes that hold its value."""
        return (self.node.name, self.overwrites) if self.overwrites else (self.node.name,)


@dataclass(frozen=True)
class Suffix:
    """What a patch can change.

    Attributes:
        program: the whole network.
        places: the patched weights.
        steps: the operations that depend on them, in execution order.
        originals: the unpatched values, ``(k,)``.
        constants: what depends on the network and the places alone.
    """

    program: GraphProgram
    places: Places
    steps: tuple[Step, ...]
    originals: Tensor
    constants: Constants

    @classmethod
    def of(cls, program: GraphProgram, places: Places) -> Suffix:
        """Cut the graph.

        Raises:
            ModelError: if the prediction does not depend on the patched weights.
        """
        steps = tuple(_steps(program, set(places.tensors)))
        if not steps:
            names = ", ".join(places.tensors)
            message = f"the prediction does not depend on {names}; patch other weights"
            raise ModelError(message)
        on_cpu = program.device.type == "cpu"
        images = any(step.op == "conv2d" for step in steps)
        constants = Constants(program.device, channels_last=on_cpu and images)
        return cls(program, places, steps, places.originals(program.tensors), constants)

    def record(self, inputs: Sequence[Tensor]) -> Frame:
        """Run the unpatched network on a block of inputs, and keep what the suffix will need."""
        return self.measure(inputs)[0]

    def measure(self, inputs: Sequence[Tensor]) -> tuple[Frame, int]:
        """Do the same, and also return how many numbers the largest varying value has."""
        frame = Frame(self.constants)
        run = _Run(self, frame, self.chunk(self.originals.unsqueeze(0)))
        waiting = iter(self.steps)
        step = next(waiting, None)
        for node, live in self.program.walk(inputs):
            frame.live = live
            if step is not None and node is step.node:
                run.step(step)
                step = next(waiting, None)
            if node.name == self.program.sites.output:
                frame.kept[SHAPE] = tuple(live[node.name].shape)
        prediction = run.env[str(self.program.sites.output)]
        if isinstance(prediction, Sparse):
            _ = prediction.base.whole(), prediction.base.shape  # to be asked for by the fitness
        frame.live = None
        return frame, run.largest

    def run(self, frame: Frame, chunk: Chunk) -> Sparse | Dense:
        """Return the prediction of every candidate for a recorded block of inputs."""
        run = _Run(self, frame, chunk)
        for step in self.steps:
            run.step(step)
        found = run.env[str(self.program.sites.output)]
        return found if isinstance(found, Sparse | Dense) else Dense(_expanded(found, len(chunk)))

    def chunk(self, values: Tensor) -> Chunk:
        """Return candidates ``(p, k)`` with their changes."""
        values = values.to(self.originals)
        return Chunk(values, values - self.originals)


def _expanded(value: Any, p: int) -> Tensor:  # noqa: ANN401 - a prediction that no candidate changes
    whole: Tensor = fetched(value)
    return whole.expand(p, *whole.shape)


class _Run:
    """One pass over the suffix."""

    def __init__(self, suffix: Suffix, frame: Frame, chunk: Chunk) -> None:
        self._suffix = suffix
        self._frame = frame
        self._chunk = chunk
        self.env: dict[str, Any] = {}
        self.largest = 0  # numbers in the largest varying value

    def step(self, step: Step) -> None:
        """Run one operation."""
        found = self._apply(self._call(step), step.rule)
        self.env[step.node.name] = found
        if step.overwrites:
            self.env[step.overwrites] = found
        for value in found if isinstance(found, list | tuple) else (found,):
            if isinstance(value, Sparse | Dense):
                self.largest = max(self.largest, value.values.numel())
        for name in step.forgotten:
            self.env.pop(name, None)

    def _apply(self, call: Call, rule: Rule | None) -> Any:  # noqa: ANN401 - a value, or several
        if not any(map(varies, (*call.args, *call.kwargs.values()))):
            return call.out  # a view took only parts that do not vary
        found = view_of_parameter(call)
        if found is NotImplemented and rule is not None:
            found = rule(call)
        return generic(call) if found is NotImplemented else found

    def _call(self, step: Step) -> Call:
        def value(node: fx.Node) -> Any:  # noqa: ANN401 - a value of any kind
            return self.env[node.name] if node.name in self.env else self._fixed(node, step)

        node = step.node
        args: Any = fx.map_arg(node.args, value)
        kwargs: Any = fx.map_arg(node.kwargs, value) if node.kwargs else {}
        named: Any = fx.map_arg(step.named, value)
        if "device" in kwargs:
            kwargs = {**kwargs, "device": self._suffix.constants.device}
        return Call(
            name=node.name,
            op=step.op,
            operation=step.operation,
            args=args,
            kwargs=kwargs,
            named=named,
            frame=self._frame,
            chunk=self._chunk,
            out=Shared(self._frame, step.names, node.name),
        )

    def _fixed(self, node: fx.Node, step: Step) -> Any:  # noqa: ANN401 - as above
        """Return a value from outside the suffix."""
        name = self._suffix.program.tensor_of_node.get(node.name)
        if name is None:
            writer = step.writers.get(node.name)
            key = f"{node.name}>{writer}" if writer else node.name
            return Shared(self._frame, (node.name,), key)
        tensor = self._suffix.program.tensors[name]
        flat, columns = self._suffix.places.columns(name)
        return Edited(tensor, flat, columns, name) if flat else tensor


def _steps(program: GraphProgram, patched: set[str]) -> Iterator[Step]:
    """Yield the operations between the patched tensors and the prediction."""
    changed = {node for node, tensor in program.tensor_of_node.items() if tensor in patched}
    writers: dict[str, str] = {}
    found: list[Step] = []
    for node in program.graph.nodes:
        if node.op != "call_function" or is_ignored(node):
            continue
        twin = program.writes.twins.get(node.name)
        overwrites = node.all_input_nodes[0].name if twin is not None else ""
        if any(source.name in changed for source in node.all_input_nodes):
            found.append(_step(node, twin, overwrites, writers))
            changed |= {node.name, overwrites} - {""}
        elif overwrites:
            writers[overwrites] = node.name
    return _needed(found, str(program.sites.output))


def _step(node: fx.Node, twin: Any, overwrites: str, writers: Mapping[str, str]) -> Step:  # noqa: ANN401
    named = named_arguments(node)
    op = operation_name(node, named)
    return Step(
        node=node,
        op=op,
        operation=twin or node.target,
        overwrites=overwrites,
        named=named,
        rule=rules[op] if op in rules else None,
        writers={s.name: writers[s.name] for s in node.all_input_nodes if s.name in writers},
    )


def _needed(found: Sequence[Step], output: str) -> Iterator[Step]:
    """Yield the steps on which the output depends, each with what it is the last to read."""
    needed = {output}
    kept: list[Step] = []
    for step in reversed(found):
        if needed & {step.node.name, step.overwrites}:
            read = {source.name for source in step.node.all_input_nodes}
            kept.append(replace(step, forgotten=tuple(read - needed)))
            needed |= read
    return reversed(kept)
