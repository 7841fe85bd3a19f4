"""Rules that say what an operation does to bounds, and how torch's operations find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from dnnrepair.errors import DnnRepairError, UnknownNameError
from dnnrepair.registry import Registry

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

rules: Registry[Rule] = Registry("bound rule", "dnnrepair.bounds")
_WRITTEN = "no interval rule for writing to memory that depends on the changed weights"


class UnboundedError(DnnRepairError):
    """Nothing can be said about a value; the message says at which operation."""


def bound(*names: str, sparse: bool = False) -> Callable[[R], R]:
    """Register the rule of one or more aten operations, named without trailing underscore.

    The rule takes the operation's arguments as the operation does, with a ``Zonotope`` in place of
    some tensors, and returns what encloses its result.

    Args:
        names: of operations.
        sparse: the rule can take a ``Patched`` weight too.
    """

    def file(rule: R) -> R:
        for name in names:
            rules.file(name, rule if sparse else _filled(rule))
        return rule

    return file


class Bounded:
    """What stands in for a tensor of which only bounds are known."""

    __slots__ = ()

    def full(self) -> Bounded:
        """Return the same in the form that every rule takes."""
        return self

    def clone(self) -> Bounded:
        """Refuse to be written to."""
        raise UnboundedError(_WRITTEN)

    def copy_(self, _source: object) -> Bounded:
        """Refuse to be written to."""
        raise UnboundedError(_WRITTEN)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the operation returns
        """Apply the rule of an operation that torch was asked to perform.

        Raises:
            UnboundedError: there is no rule.
        """
        name = operation_name(func)
        try:
            rule = rules[name.rstrip("_")]
        except UnknownNameError:
            message = f"no interval rule for aten.{name}"
            raise UnboundedError(message) from None
        try:
            return rule(*args, **(kwargs or {}))
        except TypeError as error:  # arguments that the rule does not know
            message = f"no interval rule for aten.{name} with these arguments"
            raise UnboundedError(message) from error


def operation_name(func: Callable[..., Any]) -> str:
    """Return the name of an aten operation without its overload."""
    packet = getattr(func, "overloadpacket", func)
    return str(getattr(packet, "__name__", packet))


def _filled(rule: Rule) -> Rule:
    @wraps(rule)
    def filled(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the rule's
        return rule(*map(_full, args), **{name: _full(value) for name, value in kwargs.items()})

    return filled


def _full(argument: Any) -> Any:  # noqa: ANN401 - any argument of an operation
    if isinstance(argument, Bounded):
        return argument.full()
    if isinstance(argument, list | tuple) and any(isinstance(a, Bounded) for a in argument):
        return [_full(a) for a in argument]
    return argument
