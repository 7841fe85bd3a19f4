"""One operation of the suffix, with arguments of any kind, and the registry of rules for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dnnrepair.population.values import Dense, Edited, Shared, Sparse, Streamed
from dnnrepair.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from torch import Tensor

    from dnnrepair.population.frame import Chunk, Frame


@dataclass(frozen=True, slots=True)
class Call:
    """An operation that some candidate changes.

    Attributes:
        name: of the node.
        op: canonical name of the operation, such as ``conv2d``.
        operation: the function itself, never one that works in place.
        args, kwargs: as the graph gives them, with values of any kind for nodes.
        named: the same by schema name, with torch's ``self`` called ``input``.
        frame: the block of inputs.
        chunk: the candidates.
        out: the operation's value in the unpatched network.
        reusable: nothing else reads the first argument, so its memory may serve for the result.
        streams: its changed units, if they are large, are to come one after another.
    """

    name: str
    op: str
    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    named: Mapping[str, Any]
    frame: Frame
    chunk: Chunk
    out: Shared
    reusable: bool = False
    streams: bool = False

    @property
    def _first(self) -> str:
        return "input" if "input" in self.named else next(iter(self.named))

    @property
    def input(self) -> Any:  # noqa: ANN401 - any kind
        """The first argument."""
        return self.named[self._first]

    @property
    def takes_stream(self) -> bool:
        """Whether the units of the first argument come one after another."""
        return bool(self.named) and isinstance(self.input, Streamed)

    def with_input(self, value: Any) -> Call:  # noqa: ANN401 - any kind
        """Return the same operation with another first argument."""
        args, kwargs = self.args, self.kwargs
        if args:
            args = (value, *args[1:])
        else:
            kwargs = {**kwargs, next(iter(kwargs)): value}
        return replace(self, args=args, kwargs=kwargs, named={**self.named, self._first: value})

    def get(self, argument: str, default: Any = None) -> Any:  # noqa: ANN401 - any kind
        """Return an argument by its schema name."""
        return self.named.get(argument, default)

    def constant(self, purpose: Hashable, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - any value
        """Return what depends on the network and the places alone, computed once."""
        return self.frame.constants.get((self.name, purpose), make)

    def on(self, value: Tensor) -> Any:  # noqa: ANN401 - a tensor, or several
        """Return the operation's result with another tensor in place of its first argument."""
        if self.args:
            return self.operation(value, *self.args[1:], **self.kwargs)
        first = next(iter(self.kwargs))
        return self.operation(**{**self.kwargs, first: value})

    def only_input_varies(self) -> bool:
        """Tell whether all arguments after the first are the same for every candidate."""
        rest = [value for value in self.named.values() if value is not self.input]
        return not any(map(varies, rest))


Rule = Callable[[Call], Any]
rules: Registry[Rule] = Registry("operation", "dnnrepair.population.operations")


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations by canonical name.

    A rule returns a value of some kind, or ``NotImplemented`` where it does not apply; then the
    operation is run on dense values.
    """

    def file(function: Rule) -> Rule:
        for op in ops:
            rules.file(op, function)
        return function

    return file


def varies(value: Any) -> bool:  # noqa: ANN401 - any argument
    """Tell whether an argument differs between candidates."""
    if isinstance(value, list | tuple):
        return any(map(varies, value))
    return isinstance(value, Sparse | Streamed | Dense | Edited)


def fetched(value: Any) -> Any:  # noqa: ANN401 - any argument
    """Return an argument that is the same for every candidate as what it stands for."""
    if isinstance(value, list | tuple):
        return type(value)(map(fetched, value))
    return value.whole() if isinstance(value, Shared) else value
