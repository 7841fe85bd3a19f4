"""The network on the table as a graph that can be run, watched and changed, never mutated."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind

from dnnrepair.graph import is_ignored, named_arguments, read_sites
from dnnrepair.sites import Kind, Site, Sites
from dnnrepair.tensors import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch.export import ExportedProgram

    from dnnrepair.observation import TensorInfo

    Watch = Callable[[Site, Mapping[str, Any], Any], Any | None]


class Program(Protocol):
    """A network that can be run while its operations are watched.

    Attributes:
        sites: its operations.
        tensors: its parameters and buffers, by state-dict name.
        infos: what each tensor is.
        mode: "graph" or "live".
    """

    mode: str

    @property
    def sites(self) -> Sites: ...  # noqa: D102

    @property
    def tensors(self) -> Mapping[str, Tensor]: ...  # noqa: D102

    @property
    def infos(self) -> Mapping[str, TensorInfo]: ...  # noqa: D102

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
        trainable: names of the parameters that ask for a gradient.
    """

    graph: fx.Graph
    owner: fx.GraphModule
    tensors: Mapping[str, Tensor]
    tensor_of_node: Mapping[str, str]
    buffers: frozenset[str]
    trainable: frozenset[str]
    mode: str = "graph"

    @classmethod
    def of(cls, exported: ExportedProgram) -> GraphProgram:
        """Return the program of a ``torch.export`` result (its tensors are shared, not copied)."""
        specs = exported.graph_signature.input_specs
        held = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
        tensor_of_node = {
            spec.arg.name: spec.target
            for spec in specs
            if spec.kind in held and spec.target is not None
        }
        buffers = frozenset(
            str(spec.target) for spec in specs if spec.kind in held[1:] and spec.target
        )
        source: dict[str, Tensor] = {**exported.constants, **exported.state_dict}
        tensors = {name: source[name] for name in tensor_of_node.values() if name in source}
        return cls(
            graph=exported.graph,
            owner=exported.graph_module,
            tensors={name: value.detach() for name, value in tensors.items()},
            tensor_of_node=tensor_of_node,
            buffers=buffers,
            trainable=frozenset(n for n, v in tensors.items() if v.requires_grad),
        )

    @cached_property
    def sites(self) -> Sites:
        """The operations, in execution order."""
        return read_sites(self.graph, self.tensor_of_node)

    @cached_property
    def infos(self) -> dict[str, TensorInfo]:
        """What each tensor is, by name."""
        return describe(self.tensors, self.sites, self.buffers, self.trainable)

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return next((t.device for t in self.tensors.values()), torch.device("cpu"))

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> GraphProgram:
        """Return the same graph with other values for some of its tensors."""
        return replace(self, tensors={**self.tensors, **tensors})

    def to(self, device: torch.device | str) -> GraphProgram:
        """Return the same program with its tensors on a device."""
        return replace(self, tensors={n: t.to(device) for n, t in self.tensors.items()})

    def run(
        self,
        inputs: Sequence[Tensor],
        *,
        tensors: Mapping[str, Tensor] | None = None,
        watch: Watch | None = None,
        training: bool = False,
    ) -> Tensor:
        """Return the prediction for a batch; see :meth:`Program.run`."""
        values = {**self.tensors, **(tensors or {})}
        env: dict[str, Any] = {}
        waiting = iter(inputs)
        for node in self.graph.nodes:
            if node.op == "placeholder":
                env[node.name] = self._placeholder(node, values, waiting, watch)
            elif node.op == "get_attr":
                env[node.name] = _attribute(self.owner, str(node.target))
            elif node.op == "call_function" and not is_ignored(node):
                env[node.name] = self._call(node, env, watch, training=training)
            for name in self._last_uses.get(node.name, ()):
                del env[name]
        return env[str(self.sites.output)]

    def _placeholder(
        self, node: fx.Node, values: Mapping[str, Tensor], waiting: Any, watch: Watch | None  # noqa: ANN401
    ) -> Tensor:
        if node.name in self.tensor_of_node:
            return values[self.tensor_of_node[node.name]]
        value = next(waiting)
        found = watch(self.sites[node.name], {}, value) if watch else None
        return value if found is None else found

    def _call(
        self, node: fx.Node, env: dict[str, Any], watch: Watch | None, *, training: bool
    ) -> Any:  # noqa: ANN401
        site = self.sites[node.name] if node.name in self.sites else None
        if node.name in self._mutating:
            function = self._mutating[node.name]
        else:
            function = node.target
        args = fx.map_arg(node.args, lambda n: env[n.name])
        kwargs = fx.map_arg(node.kwargs, lambda n: env[n.name])
        if "device" in kwargs:
            kwargs = {**kwargs, "device": self.device}
        if training and site:
            args = _in_training(site, node, args)
        value = function(*args, **kwargs)
        if watch and site:
            found = watch(site, _bind(node, args, kwargs), value)
            value = value if found is None else found
        if node.name in self._mutating:  # later readers of the input see the new value
            env[node.all_input_nodes[0].name] = value
        return value
