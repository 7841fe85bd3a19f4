"""What an activation is: a formula with settings, and the plain torch module that computes it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from inspect import getsource, signature
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from dnnrepair.activations.moments import Moments, gaussian
from dnnrepair.errors import SettingError
from dnnrepair.registry import Registry
from dnnrepair.settings import configured, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from dnnrepair.activations.grafts import Graft

Number = float | Tensor

IMPORTS = """\
from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
"""


@dataclass(frozen=True, slots=True)
class Constructor:
    """How a module is made.

    Attributes:
        kind: its class, of torch.nn or of this package.
        arguments: of the class, by name; numbers, or other constructors, or a list of these.
        parts: functions and classes of this package that its source needs, itself the last.
    """

    kind: type[nn.Module]
    arguments: dict[str, Any]
    parts: tuple[Callable[..., Any], ...] = ()

    def build(self, dtype: torch.dtype | None = None) -> nn.Module:
        """Return a new module; learned parameters have ``dtype``, None for torch's default."""
        made = {name: _built(value, dtype) for name, value in self.arguments.items()}
        if dtype is not None and "dtype" in signature(self.kind).parameters:
            made["dtype"] = dtype
        return self.kind(**made)

    @property
    def expression(self) -> str:
        """The call that makes it, for a file that imports ``nn`` and holds :attr:`definitions`."""
        given = ", ".join(f"{name}={_written(value)}" for name, value in self.arguments.items())
        prefix = "" if self.parts else "nn."
        return f"{prefix}{self.kind.__name__}({given})"

    @property
    def definitions(self) -> tuple[str, ...]:
        """The source of each part, in order; the same text for the same part."""
        found = [text for value in self.arguments.values() for text in _defined(value)]
        return tuple(dict.fromkeys([*found, *map(getsource, self.parts)]))


def _built(value: Any, dtype: torch.dtype | None) -> Any:  # noqa: ANN401 - any argument
    if isinstance(value, list):
        return [_built(one, dtype) for one in value]
    return value.build(dtype) if isinstance(value, Constructor) else value


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return value.expression if isinstance(value, Constructor) else repr(value)


def _defined(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Constructor):
            yield from one.definitions


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A function of pre-activations, element by element unless :attr:`inputs` says otherwise.

    A subclass's fields are its settings; those named in ``learnable`` are where training starts.
    Its docstring states formula, use, limits and source.

    Attributes:
        name: that it is filed under, the same as that of its operation in a graph.
        formula: in one line.
        reference: where it was published.
        learnable: fields that training changes.
        neutral: fields that change nothing where it takes another's place exactly.
        inputs: pre-activations for each output; more than 1 where dimension 1 holds that many
            blocks of channels.
        initializer: name of the initializer that suits the layer before it.
        kind: the module's class.
        parts: what its source needs.
        compute: the formula; takes x and the fields in order.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    reference: ClassVar[str]
    learnable: ClassVar[tuple[str, ...]] = ()
    neutral: ClassVar[tuple[str, ...]] = ()
    initializer: ClassVar[str] = "he_normal"
    kind: ClassVar[type[nn.Module]]
    parts: ClassVar[tuple[Callable[..., Any], ...]] = ()
    compute: ClassVar[Callable[..., Tensor]]

    @property
    def inputs(self) -> int:
        """Pre-activations for each output."""
        return 1

    @property
    def domain(self) -> tuple[float, float]:
        """Inputs that it is made for; outside of them it is of no use."""
        return -float("inf"), float("inf")

    @property
    def settings(self) -> dict[str, Any]:
        """The values of its fields, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def function(self, x: Tensor, **parameters: Number) -> Tensor:
        """Return its values, in the shape and type of ``x``.

        Args:
            x: pre-activations, of any shape; ``(N, inputs * C, ...)`` if :attr:`inputs` is not 1.
            parameters: instead of the fields of that name; tensors that broadcast against ``x``.

        Raises:
            SettingError: if it has no such parameter.
        """
        known = self.settings
        for name in parameters:
            if name not in known:
                message = f"{self.name} has no parameter {name!r}; {nearest(name, known)}"
                raise SettingError(message)
        values = {**known, **parameters}
        for name in self.learnable:
            values[name] = torch.as_tensor(values[name], dtype=x.dtype, device=x.device)
        return type(self).compute(x, *values.values())

    def constructor(self, channels: int | None = None) -> Constructor:
        """Return how its module is made.

        Args:
            channels: size of dimension 1, for a parameter of each; None for one of the layer.
        """
        arguments = self.settings
        if self.learnable and channels is not None:
            arguments = {"channels": channels, **arguments}
        return Constructor(self.kind, arguments, self.parts)

    def module(self, channels: int | None = None, dtype: torch.dtype | None = None) -> nn.Module:
        """Return a new module of plain torch.

        Args:
            channels: size of dimension 1, for a parameter of each; None for one of the layer.
            dtype: of its parameters, None for torch's default.
        """
        return self.constructor(channels).build(dtype)

    def source(self, channels: int | None = None) -> str:
        """Return a Python file that makes ``activation``, the module, and needs torch only."""
        made = self.constructor(channels)
        texts = [IMPORTS.strip(), *(text.strip() for text in made.definitions)]
        return "\n\n\n".join([*texts, f"activation = {made.expression}"]) + "\n"

    def with_settings(self, **changes: Any) -> Self:  # noqa: ANN401 - of the fields' types
        """Return it with other settings."""
        return replace(self, **changes)

    def suited_to(self, *, images: bool) -> Self:  # noqa: ARG002 - for subclasses
        """Return it without what only ``(N, C, H, W)`` has, unless its values are ``images``."""
        return self

    @cached_property
    def moments(self) -> Moments:
        """What it does to pre-activations that are normally distributed."""
        return gaussian(self.function, self.domain)

    @property
    def gain(self) -> float:
        """Of the layer before it: with weights of variance gain^2 / fan_in the scale is kept."""
        return self.moments.forward_gain

    @classmethod
    def imitating(cls, old: Activation) -> Graft | None:  # noqa: ARG003 - for subclasses
        """Return how it takes the place of ``old`` and changes nothing, None if it cannot."""
        return None


activations: Registry[type[Activation]] = Registry("activation", "dnnrepair.activations")
_OTHER_NAMES = {"logistic": "sigmoid", "relu2": "relu_squared", "squared_relu": "relu_squared"}
A = TypeVar("A", bound=type[Activation])


def activation(name: str) -> Callable[[A], A]:
    """File an activation under a name."""

    def filed(kind: A) -> A:
        kind.name = name
        activations.file(name, kind)
        return kind

    return filed


def find(name: str, **settings: object) -> Activation:
    """Return the activation of that name; case, spaces, dashes and underscores do not matter.

    Raises:
        UnknownNameError: if there is none; the nearest is suggested.
        SettingError: if it has no such setting, or the setting takes no such value.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = _OTHER_NAMES.get(plain, plain)
    if plain not in activations:
        squeezed = {key.replace("_", ""): key for key in activations}
        plain = squeezed.get(plain.replace("_", ""), plain)
    kind = activations[plain]
    return configured(kind, settings, plain)
