"""The part of the graph that a patch can change, run for many candidates at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, fx

from dnnrepair.errors import ModelError
from dnnrepair.population.call import Call, Rule, fetched, varies
from dnnrepair.population.frame import Chunk, Constants, Frame, owned
from dnnrepair.population.fused import PREDICTION, runs_fused
from dnnrepair.population.opening import Opening
from dnnrepair.population.operations.generic import generic
from dnnrepair.population.operations.parameters import view_of_parameter
from dnnrepair.population.step import Step, steps_of
from dnnrepair.population.streams import one_by_one, streaming
from dnnrepair.population.values import Dense, Edited, Shared, Sparse, Streamed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.population.places import Places
    from dnnrepair.program import GraphProgram


class Recording(NamedTuple):
    """A block of inputs as the suffix needs it.

    Attributes:
        frame: what it asked for.
        prediction: of the unpatched network.
        largest: numbers in the largest value that varies.
    """

    frame: Frame
    prediction: Sparse | Dense
    largest: int


@dataclass(frozen=True)
class Suffix:
    """What a patch can change.

    Attributes:
        program: the whole network.
        places: the patched weights.
        steps: the operations that depend on them, in execution order.
        originals: the unpatched values, ``(k,)``.
        constants: what depends on the network and the places alone.
        opening: does the first steps at once, None if nothing does.
    """

    program: GraphProgram
    places: Places
    steps: tuple[Step, ...]
    originals: Tensor
    constants: Constants
    opening: Opening | None = None

    @classmethod
    def of(
        cls,
        program: GraphProgram,
        places: Places,
        *,
        fused: bool | None = None,
        precision: str = "ieee",
    ) -> Suffix:
        """Cut the graph.

        Args:
            program: the network.
            places: the patched weights.
            fused: whether to use fused kernels; see :class:`EvaluatorSettings`.
            precision: of their products; see there, too.

        Raises:
            ModelError: if the prediction does not depend on the patched weights.
        """
        steps = tuple(steps_of(program, set(places.tensors)))
        if not steps:
            names = ", ".join(places.tensors)
            message = f"the prediction does not depend on {names}; patch other weights"
            raise ModelError(message)
        on_cpu = program.device.type == "cpu"
        images = any(step.op == "conv2d" for step in steps)
        constants = Constants(program.device, channels_last=on_cpu and images)
        originals = places.originals(program.tensors)
        opening = Opening.of(steps, places, program) if runs_fused(originals, fused) else None
        if opening:
            opening = replace(opening, precision=precision)
        elif on_cpu:
            steps = tuple(streaming(steps, program, places))
        return cls(program, places, steps, originals, constants, opening)

    def record(self, inputs: Sequence[Tensor]) -> Recording:
        """Run the unpatched network on a block of inputs, and keep what the suffix will need."""
        frame = Frame(self.constants)
        run = _Run(self, frame, self.chunk(self.originals.unsqueeze(0)))
        waiting = iter(self.steps)
        step = next(waiting, None)
        inside = {s.node for s in self.steps[: self.opening.length - 1]} if self.opening else set()
        for node, live in self.program.walk(inputs):
            frame.live = live
            if step is not None and node is step.node:
                run.step(step)
                run.largest = 0 if node in inside else run.largest  # values that are never whole
                step = next(waiting, None)
            if node.name == self.program.sites.output:
                frame.kept[PREDICTION] = owned(live[node.name])
        prediction = run.prediction
        if isinstance(prediction, Sparse):
            _ = prediction.base.whole(), prediction.base.shape  # to be asked for by the fitness
        frame.live = None
        return Recording(frame, prediction, run.largest)

    def run(self, frame: Frame, chunk: Chunk) -> Sparse | Dense:
        """Return the prediction of every candidate for a recorded block of inputs."""
        run = _Run(self, frame, chunk)
        rest = self.steps
        if self.opening is not None and (begun := self.opening.run(frame, chunk)) is not None:
            rest = self.steps[self.opening.length :]
            run.env[self.opening.linear.node.name] = begun
        for step in rest:
            run.step(step)
        return run.prediction

    def parameter(self, name: str) -> Tensor | Edited:
        """Return a parameter by state-dict name, with what the candidates set in it."""
        tensor = self.program.tensors[name]
        flat, columns = self.places.columns(name)
        return Edited(tensor, flat, columns, name) if flat else tensor

    def chunk(self, values: Tensor) -> Chunk:
        """Return candidates ``(p, k)`` with their changes."""
        values = values.to(self.originals)
        return Chunk(values, values - self.originals)


def _largest(value: Any) -> int:  # noqa: ANN401 - a value, or several
    """Return how many numbers a varying value has at a time."""
    parts = value.parts if isinstance(value, Streamed) else value
    if isinstance(parts, list | tuple):
        return max(map(_largest, parts), default=0)
    return parts.values.numel() if isinstance(parts, Sparse | Dense) else 0


class _Run:
    """One pass over the suffix."""

    def __init__(self, suffix: Suffix, frame: Frame, chunk: Chunk) -> None:
        self._suffix = suffix
        self._frame = frame
        self._chunk = chunk
        self.env: dict[str, Any] = {}
        self.largest = 0  # numbers in the largest varying value

    @property
    def prediction(self) -> Sparse | Dense:
        """What the network answers, once all is run."""
        found = self.env[str(self._suffix.program.sites.output)]
        if isinstance(found, Sparse | Dense):
            return found
        whole: Tensor = fetched(found)  # that no candidate changes
        return Dense(whole.expand(len(self._chunk), *whole.shape))

    def step(self, step: Step) -> None:
        """Run one operation."""
        found = self._apply(self._call(step), step.rule)
        self.env[step.node.name] = found
        if step.overwrites:
            self.env[step.overwrites] = found
        if self._frame.recording and not step.is_view:
            self.largest = max(self.largest, _largest(found) // step.repeats)
        for name in step.forgotten:
            self.env.pop(name, None)

    def _apply(self, call: Call, rule: Rule | None) -> Any:  # noqa: ANN401 - a value, or several
        if not any(map(varies, (*call.args, *call.kwargs.values()))):
            return call.out  # a view took only parts that do not vary
        if call.takes_stream and rule is not None:
            found = one_by_one(call, rule)
            if found is not NotImplemented:
                return found
            call = call.with_input(call.input.together())
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
            reusable=step.reusable,
            streams=step.streams,
        )

    def _fixed(self, node: fx.Node, step: Step) -> Any:  # noqa: ANN401 - as above
        """Return a value from outside the suffix."""
        name = self._suffix.program.tensor_of_node.get(node.name)
        if name is None:
            writer = step.writers.get(node.name)
            key = f"{node.name}>{writer}" if writer else node.name
            return Shared(self._frame, (node.name,), key)
        suffix = self._suffix
        return suffix.constants.get(("parameter", name), lambda: suffix.parameter(name))
