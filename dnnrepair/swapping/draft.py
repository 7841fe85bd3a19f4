"""A network's graph on the workbench: nodes and tensors that may be changed, until it is done."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, fx, nn

from dnnrepair.errors import ModelError
from dnnrepair.program import GraphProgram
from dnnrepair.swapping.copying import copied
from dnnrepair.tensors import each_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.program import Program
    from dnnrepair.sites import Sites


@dataclass(kw_only=True)
class Draft:
    """A network's graph that may be changed; the program it was made from stays as it is.

    A draft is on the CPU wherever the program is: generators are, and what is drawn must not depend
    on the device.

    Tensors are ``get_attr`` nodes, whose targets are names in the state dict; two names of one
    tensor share one memory, as before.

    Attributes:
        graph: to be edited with torch.fx.
        tensors: its own copies, by name.
        buffers: names of those that are no parameters.
        trainable: names of the parameters that ask for a gradient.
        prediction: which of the flat outputs is the prediction; None for the first float tensor.
        structural: nodes, names or shapes are no longer those of the program.
    """

    graph: fx.Graph
    tensors: dict[str, Tensor]
    buffers: set[str]
    trainable: set[str]
    prediction: int | None = None
    structural: bool = False
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program) -> Draft:
        """Return a copy of a program that may be changed.

        Raises:
            ModelError: it is no graph, or one with control flow inside.
        """
        if not isinstance(program, GraphProgram):
            message = (
                "this network could not be exported as a graph, and only graphs can be changed; "
                "see what torch.export says of it"
            )
            raise ModelError(message)
        tensors = each_once(lambda t: t.to("cpu", copy=True), program.tensors)
        return cls(
            graph=copied(program),
            tensors=tensors,
            buffers=set(program.buffers),
            trainable=set(program.trainable),
            prediction=program.prediction,
            shapes=dict(program.shapes),
        )

    def program(self, example: Sequence[Tensor] = ()) -> GraphProgram:
        """Return what it has become, as a program; with an example, shapes are measured anew."""
        graph = fx.Graph()
        mapping: dict[fx.Node, fx.Node] = {}
        graph.output(graph.graph_copy(self.graph, mapping))
        attributes = [node for node in graph.nodes if node.op == "get_attr"]
        found = GraphProgram(
            graph=graph,
            owner=fx.GraphModule(nn.Module(), fx.Graph()),
            tensors=dict(self.tensors),
            tensor_of_node={node.name: str(node.target) for node in attributes},
            buffers=frozenset(self.buffers),
            trainable=frozenset(self.trainable),
            prediction=self.prediction,
            shapes=dict(self.shapes),
        )
        return found.measured([x.cpu() for x in example]) if len(example) else found

    @property
    def sites(self) -> Sites:
        """The operations as they are now."""
        return self.program().sites

    def node(self, name: str) -> fx.Node:
        """Return the node of a site."""
        found: fx.Node = next(node for node in self.graph.nodes if node.name == name)
        return found

    @property
    def result(self) -> fx.Node:
        """The node whose value is the prediction."""
        return self.node(str(self.sites.output))

    def tensor(self, name: str) -> fx.Node:
        """Return the node that reads a tensor, at the top of the graph."""
        known: list[fx.Node] = [n for n in self.graph.nodes if n.op == "get_attr"]
        for node in known:
            if node.target == name:
                return node
        last = [node for node in self.graph.nodes if node.op in ("placeholder", "get_attr")][-1]
        with self.graph.inserting_after(last):
            made = self.graph.create_node("get_attr", name, name=f"t_{name.replace('.', '_')}")
        made.meta["val"] = self.tensors[name]
        return made

    def add(self, name: str, value: Tensor, *, buffer: bool = False) -> fx.Node:
        """Take a new tensor in, and return the node that reads it."""
        assert name not in self.tensors  # `fresh` makes names  # noqa: S101
        self.tensors[name] = value.detach().to("cpu", copy=True)
        (self.buffers if buffer else self.trainable).add(name)
        self.structural = True
        return self.tensor(name)

    def place(self, layer: str, what: str) -> str:
        """Return a name, which no tensor has, for what is put beside a layer."""
        name = layer.partition("#")[0].replace(".", "_") or "input"
        return self.fresh(f"{'layer_' * name[0].isdecimal()}{name}_{what}")

    def fresh(self, name: str) -> str:
        """Return a module name like this one that no tensor has yet."""
        taken = {known.rpartition(".")[0] for known in self.tensors} | set(self.tensors)
        count, found = 1, name
        while found in taken or any(known.startswith(f"{found}.") for known in taken):
            count += 1
            found = f"{name}_{count}"
        return found

    def change(self, name: str, value: Tensor) -> None:
        """Give a tensor, under all its names, other values, or another shape."""
        old = self.tensors[name]
        new = value.detach().to(old, copy=True)
        self.structural |= new.shape != old.shape
        for twin in [n for n, t in self.tensors.items() if t is old]:
            self.tensors[twin] = new

    def call(
        self,
        operation: Any,  # noqa: ANN401 - an operator of torch
        *args: object,
        like: fx.Node,
        before: fx.Node | None = None,
    ) -> fx.Node:
        """Insert a call after ``like`` (or before another node) and give it the same meaning.

        Args:
            operation: of ``torch.ops.aten``, its result of the shape of ``like``'s.
            args: nodes and constants.
            like: whose place in the source and in the network the call takes.
            before: where to insert it, instead of right after ``like``.
        """
        place = self.graph.inserting_before(before) if before else self.graph.inserting_after(like)
        with place:
            made: fx.Node = self.graph.create_node("call_function", operation, args)  # type: ignore[arg-type]
        made.meta = copy.copy(like.meta)
        self.structural = True
        return made

    def reroute(self, old: fx.Node, new: fx.Node, *, keep: Sequence[fx.Node] = ()) -> None:
        """Let all readers of one node, except some, read another one."""
        left = {new, *keep}
        old.replace_all_uses_with(new, delete_user_cb=lambda user: user not in left)

    def tidy(self) -> None:
        """Forget nodes and new tensors that nobody reads."""
        for node in reversed(list(self.graph.nodes)):
            if node.op in ("get_attr", "call_function") and not node.users and not _writes(node):
                self.graph.erase_node(node)

    def drop(self, name: str) -> None:
        """Forget a tensor that nobody reads any longer."""
        del self.tensors[name]
        self.buffers.discard(name)
        self.trainable.discard(name)
        self.structural = True


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.is_mutable)
