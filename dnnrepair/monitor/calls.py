"""How a network is called: its tensors in order, whatever else belongs to the call."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dnnrepair.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

LABELS = ("labels", "label", "targets", "target")  # names under which networks take targets
MASKS = ("attention_mask",)


@dataclass(frozen=True, kw_only=True)
class Form:
    """A call without its tensors.

    Attributes:
        places: of the tensors: a number for a positional argument, else its name.
        constants: all other arguments, by the same.
    """

    places: tuple[int | str, ...]
    constants: Mapping[int | str, Any] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether tensors in order are all there is to it."""
        return not self.constants and self.places == tuple(range(len(self.places)))


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What a network was called with.

    Attributes:
        form: the call.
        inputs: its tensors, batch first.
        targets: labels among its arguments, None if there are none.
        mask: where tokens are no padding, ``(batch, tokens)``, None if unknown.
    """

    form: Form
    inputs: tuple[Tensor, ...]
    targets: Tensor | None = None
    mask: Tensor | None = None


def read_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Passed:
    """Take a call apart; labels are no input.

    Raises:
        DataError: if a tensor hides inside another argument.
    """
    places: dict[int | str, Any] = dict(enumerate(args))
    places.update(kwargs)
    labels = [places.pop(name) for name in LABELS if name in places]
    inputs = {place: value for place, value in places.items() if isinstance(value, Tensor)}
    rest = {place: value for place, value in places.items() if place not in inputs}
    for place, value in rest.items():
        if isinstance(value, list | tuple | dict) and value:
            message = (
                f"argument {place!r} of the model is a {type(value).__name__}; what is inside "
                "cannot be watched: pass tensors as arguments of their own"
            )
            raise DataError(message)
    masks = [inputs[name] for name in MASKS if name in inputs]
    return Passed(
        form=Form(places=tuple(inputs), constants=rest),
        inputs=tuple(value.detach() for value in inputs.values()),
        targets=labels[0] if labels and isinstance(labels[0], Tensor) else None,
        mask=masks[0].bool() if masks and masks[0].dim() == 2 else None,  # noqa: PLR2004
    )


def positional(network: nn.Module, form: Form) -> nn.Module:
    """Return a network that takes the tensors of a call in order; it shares all tensors."""
    if form.is_plain:
        return network
    original = type(network)

    def forward(self: nn.Module, *tensors: Tensor) -> Any:  # noqa: ANN401 - what it returns
        given = {**dict(zip(form.places, tensors, strict=True)), **form.constants}
        count = sum(isinstance(place, int) for place in given)
        named = {str(place): value for place, value in given.items() if isinstance(place, str)}
        return original.forward(self, *(given[place] for place in range(count)), **named)

    names = ("self", *(f"input_{place}" for place in range(len(form.places))))
    named = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    forward.__signature__ = Signature(named)  # type: ignore[attr-defined]  # the exporter asks
    shared = copy.copy(network)
    shared.__class__ = type(original.__name__, (original,), {"forward": forward})
    shared._forward_hooks = OrderedDict()  # noqa: SLF001 - those of the network are not for us
    shared._forward_hooks_with_kwargs = OrderedDict()  # noqa: SLF001
    return shared
