"""The network on the table as a graph that can be run, watched and changed, never mutated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind

from dnnrepair.fixed_batch import filled
from dnnrepair.graph import is_ignored, named_arguments, read_sites
from dnnrepair.inplace import Writes, find_writes, in_training
from dnnrepair.outputs import prediction_place
from dnnrepair.refusal import refusal, this_input
from dnnrepair.tensors import describe, device_of, each_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch.export import ExportedProgram

    from dnnrepair.observation import TensorInfo
    from dnnrepair.sites import Site, Sites

    Watch = Callable[[Site, Mapping[str, Any], Any], Any | None]


class Program(Protocol):
    """A network that can be run while its operations are watched.

    Attributes:
        sites: its operations.
        tensors: its parameters and buffers, by state-dict name.
        infos: what each tensor is.
        device: where they are.
        mode: "graph" or "live".
        batch_size: the only one it runs with; None if any will do.
    """

    @property
    def mode(self) -> str: ...  # noqa: D102

    @property
    def batch_size(self) -> int | None: ...  # noqa: D102

    @property
    def sites(self) -> Sites: ...  # noqa: D102

    @property
    def tensors(self) -> Mapping[str, Tensor]: ...  # noqa: D102

    @property
    def infos(self) -> Mapping[str, TensorInfo]: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def reads(self, *names: str) -> bool:
        """Tell whether some operation reads one of these tensors."""
        ...

    def to(self, device: torch.device | str) -> Program:
        """Return the same program with its tensors on a device."""
        ...

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Program:
        """Return the same network with other values for some of its tensors."""
        ...

    def run(
        self,
        inputs: Sequence[Tensor],
        *,
        tensors: Mapping[str, Tensor] | None = None,
        watch: Watch | None = None,
        training: bool = False,
    ) -> Tensor:
        """Return the prediction for a batch.

        Args:
            inputs: one tensor per input, batch first.
            tensors: values that stand in for some of the program's own, by name.
            watch: called after each operation with its site, its arguments by name, and its value;
                what it returns, if not None, takes the place of the value.
            training: dropout drops and batch norms normalize by the batch; no buffer changes.
        """
        ...


@dataclass(frozen=True)
class GraphProgram:
    """A program over a ``torch.export`` graph, interpreted node by node.

    Attributes:
        graph: the exported graph.
        owner: the graph module that holds nested graphs.
        tensors: parameters, buffers and constants by name.
        tensor_of_node: name of the tensor a placeholder stands for.
        buffers: names of tensors that are no parameters.
        trainable: names of the parameters that ask for a gradient.
        prediction: which of the flat outputs is the prediction; None for the first float tensor.
        shapes: of outputs as an example run gave them, where the graph does not tell.
    """

    graph: fx.Graph
    owner: fx.GraphModule
    tensors: Mapping[str, Tensor]
    tensor_of_node: Mapping[str, str]
    buffers: frozenset[str]
    trainable: frozenset[str]
    prediction: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    mode: str = "graph"

    @classmethod
    def of(
        cls, exported: ExportedProgram, known: Mapping[str, Tensor] | None = None
    ) -> GraphProgram:
        """Return the program of a ``torch.export`` result (its tensors are shared, not copied).

        Args:
            exported: the result.
            known: parameters by name, for constants of the graph that are parameters in truth (a
                converted TorchScript RNN has such).
        """
        specs = exported.graph_signature.input_specs
        held = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
        tensor_of_node = {
            spec.arg.name: spec.target
            for spec in specs
            if spec.kind in held and spec.target is not None
        }
        buffers = {str(spec.target) for spec in specs if spec.kind in held[1:] and spec.target}
        spec = exported.call_spec.out_spec
        source: dict[str, Any] = {**exported.constants, **exported.state_dict}
        tensors = {name: source[name] for name in tensor_of_node.values() if name in source}
        for constant in [name for name in tensors if name in exported.constants]:
            name = _name_of(tensors[constant], known or {})
            if name is not None:
                tensors[name] = (known or {})[name]
                del tensors[constant]
                buffers.discard(constant)
                tensor_of_node = {
                    n: name if t == constant else t for n, t in tensor_of_node.items()
                }
        return cls(
            graph=exported.graph,
            owner=exported.graph_module,
            tensors={name: value.detach() for name, value in tensors.items()},
            tensor_of_node=tensor_of_node,
            buffers=frozenset(buffers),
            trainable=frozenset(n for n, v in tensors.items() if v.requires_grad),
            prediction=prediction_place(spec, spec.num_leaves) if spec else None,
        )

    @classmethod
    def of_trace(cls, traced: fx.GraphModule, known: Mapping[str, Tensor]) -> GraphProgram:
        """Return the program of a ``make_fx`` result whose tensors are attributes.

        Args:
            traced: the result.
            known: parameters and buffers by name; its parameters ask for a gradient.
        """
        names = {id(value): name for name, value in known.items()}
        attributes = [node for node in traced.graph.nodes if node.op == "get_attr"]
        found = {n.name: names.get(id(_attribute(traced, str(n.target)))) for n in attributes}
        parameters = {name for name, value in known.items() if isinstance(value, nn.Parameter)}
        return cls(
            graph=traced.graph,
            owner=traced,
            tensors={name: value.detach() for name, value in known.items()},
            tensor_of_node={node: name for node, name in found.items() if name is not None},
            buffers=frozenset(known) - parameters,
            trainable=frozenset(name for name in parameters if known[name].requires_grad),
        )

    @property
    def sites(self) -> Sites:
        """The operations, in execution order."""
        return self._sites

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """What each tensor is, by name."""
        return self._infos

    @property
    def batch_size(self) -> int | None:
        """The batch size that was fixed at export, None if it was left free."""
        return self._batch_size

    @cached_property
    def _sites(self) -> Sites:
        return read_sites(self.graph, self.tensor_of_node, self.prediction, self.shapes)

    @cached_property
    def _infos(self) -> dict[str, TensorInfo]:
        return describe(self.tensors, self.sites, self.buffers, self.trainable)

    @cached_property
    def _batch_size(self) -> int | None:
        for node in self.graph.nodes:
            if node.op == "placeholder" and node.name not in self.tensor_of_node:
                value = node.meta.get("val")
                if isinstance(value, Tensor) and value.dim():
                    return value.shape[0] if isinstance(value.shape[0], int) else None
        return None

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return device_of(self.tensors.values())

    def reads(self, *names: str) -> bool:
        """Tell whether some operation reads one of these tensors."""
        return any(
            node.users and self.tensor_of_node.get(node.name) in names for node in self.graph.nodes
        )

    def measured(self, example: Sequence[Tensor]) -> GraphProgram:
        """Return the same program with the shapes that an example run gives.

        Raises:
            DataError: if the graph refuses the example.
        """
        shapes: dict[str, tuple[int, ...]] = {}

        def watch(site: Site, _arguments: Mapping[str, Any], value: Any) -> None:  # noqa: ANN401
            first = value[0] if isinstance(value, tuple | list) else value
            if isinstance(first, Tensor):
                shapes[site.name] = tuple(first.shape)

        inputs = filled(example, self.batch_size)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self.run(inputs, watch=watch)
        except (RuntimeError, IndexError, StopIteration) as error:
            raise refusal(this_input(inputs), error) from error
        return replace(self, shapes=shapes)

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> GraphProgram:
        """Return the same graph with other values for some of its tensors."""
        return replace(self, tensors={**self.tensors, **tensors})

    def to(self, device: torch.device | str) -> GraphProgram:
        """Return the same program with its tensors on a device."""
        if all(t.device == torch.device(device) for t in self.tensors.values()):
            return self
        return replace(self, tensors=each_once(lambda t: t.to(device), self.tensors))

    def run(
        self,
        inputs: Sequence[Tensor],
        *,
        tensors: Mapping[str, Tensor] | None = None,
        watch: Watch | None = None,
        training: bool = False,
    ) -> Tensor:
        """Return the prediction for a batch; see :meth:`Program.run`."""
        env: Mapping[str, Any] = {}
        for _, env in self.walk(inputs, tensors=tensors, watch=watch, training=training):  # noqa: B007
            pass
        prediction: Tensor = env[str(self.sites.output)]
        return prediction

    def walk(
        self,
        inputs: Sequence[Tensor],
        *,
        tensors: Mapping[str, Tensor] | None = None,
        watch: Watch | None = None,
        training: bool = False,
    ) -> Iterator[tuple[fx.Node, Mapping[str, Any]]]:
        """Yield each node once it has run, with the values that are still needed, by node name.

        The arguments of the node are among them; what nobody reads later is forgotten when the
        next node is asked for. See :meth:`Program.run` for the arguments.
        """
        values = {**self.tensors, **(tensors or {})}
        env: dict[str, Any] = {}
        waiting = iter(inputs)
        for node in self.graph.nodes:
            if node.op == "placeholder":
                env[node.name] = self._placeholder(node, values, waiting, watch)
            elif node.op == "get_attr" and node.name in self.tensor_of_node:
                env[node.name] = values[self.tensor_of_node[node.name]]
            elif node.op == "get_attr":
                env[node.name] = _attribute(self.owner, str(node.target))
            elif node.op == "call_function" and not is_ignored(node):
                env[node.name] = self._call(node, env, watch, training=training)
            yield node, env
            for name in self._last_uses.get(node.name, ()):
                del env[name]

    @property
    def writes(self) -> Writes:
        """What the graph overwrites, and how to compute the same into fresh memory."""
        return self._writes

    def _placeholder(
        self,
        node: fx.Node,
        values: Mapping[str, Tensor],
        waiting: Iterator[Tensor],
        watch: Watch | None,
    ) -> Tensor:
        copied = node.name in self._writes.roots
        if node.name in self.tensor_of_node:
            value = values[self.tensor_of_node[node.name]]
            return value.clone() if copied else value
        value = next(waiting).clone() if copied else next(waiting)
        found = watch(self.sites[node.name], {}, value) if watch else None
        return value if found is None else found

    def _call(
        self, node: fx.Node, env: dict[str, Any], watch: Watch | None, *, training: bool
    ) -> Any:  # noqa: ANN401 - operations return tensors, tuples and sizes
        arguments = fx.map_arg((node.args, node.kwargs), lambda n: env[n.name])
        args, kwargs = arguments
        if "device" in kwargs:
            kwargs = {**kwargs, "device": self.device}
        if training:
            args = in_training(node, args)
        twin = self._writes.twins.get(node.name)
        operation: Any = twin or node.target
        value = operation(*args, **kwargs)
        if watch and node.name in self.sites:
            named = fx.map_arg(self._named[node.name], lambda n: env[n.name])
            found = watch(self.sites[node.name], named, value)
            value = value if found is None else found
        if twin is not None:  # whoever reads the overwritten name later sees the new value
            target = node.all_input_nodes[0].name
            if node.name in self._writes.aliased:
                value = env[target].copy_(value)
            env[target] = value
        return value

    @cached_property
    def _named(self) -> dict[str, dict[str, Any]]:
        calls = (node for node in self.graph.nodes if node.op == "call_function")
        return {node.name: named_arguments(node) for node in calls}

    @cached_property
    def _writes(self) -> Writes:
        return find_writes(self.graph)

    @cached_property
    def _last_uses(self) -> dict[str, list[str]]:
        """Names that may be forgotten after a node has run, by that node's name."""
        seen = {str(self.sites.output)}
        last: dict[str, list[str]] = {}
        for node in reversed(self.graph.nodes):
            if node.op == "output" or is_ignored(node):
                continue
            for source in node.all_input_nodes:
                if source.name not in seen:
                    seen.add(source.name)
                    last.setdefault(node.name, []).append(source.name)
        return last


def _name_of(value: Tensor, known: Mapping[str, Tensor]) -> str | None:
    """Return under which name the same values are known."""
    for name, other in known.items():
        if other.shape == value.shape and torch.equal(other, value):
            return name
    return None


def _attribute(owner: fx.GraphModule, target: str) -> Any:  # noqa: ANN401 - any attribute
    value: Any = owner
    for part in target.split("."):
        value = getattr(value, part)
    return value
