"""Name the operations of a running network as an exported graph would name them."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dnnrepair.graph import LARGE, channel_dim, short_path
from dnnrepair.sites import KIND_OF_OP, Kind, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dnnrepair.program import Watch

    Key = tuple[str, tuple[str, ...], str | None, int]

_POSITIONS: Mapping[str, str] = {  # argument names of torch's built-in functions
    "linear": "input weight bias",
    "conv1d": "input weight bias stride padding dilation groups",
    "conv2d": "input weight bias stride padding dilation groups",
    "conv3d": "input weight bias stride padding dilation groups",
    "conv_transpose1d": "input weight bias stride padding output_padding groups dilation",
    "conv_transpose2d": "input weight bias stride padding output_padding groups dilation",
    "scaled_dot_product_attention": "query key value attn_mask dropout_p is_causal scale",
    "lstm": "input hx params has_biases num_layers dropout train bidirectional batch_first",
    "gru": "input hx params has_biases num_layers dropout train bidirectional batch_first",
    "rnn_tanh": "input hx params has_biases num_layers dropout train bidirectional batch_first",
    "rnn_relu": "input hx params has_biases num_layers dropout train bidirectional batch_first",
    "clamp": "input min max",
    "clamp_min": "input min",
    "leaky_relu": "input negative_slope",
    "add": "input other alpha",
}
_RENAMED = {"getitem": "getitem", "radd": "add", "iadd": "add", "get": "alias", "clip": "clamp"}


def names_of(tensors: Mapping[str, Tensor]) -> dict[int, str]:
    """Return the names of tensors by identity."""
    return {id(value): name for name, value in tensors.items()}


@dataclass
class Listener(TorchFunctionMode):
    """Names each operation and its arguments as the exported graph would."""

    names: Mapping[int, str]
    counts: Counter[tuple[str, tuple[str, ...], str | None]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's protocol
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        op, named = _named(func, args, kwargs or {})
        if KIND_OF_OP.get(op) is Kind.ACTIVATION and (kwargs or {}).get("inplace"):
            kwargs = {**(kwargs or {}), "inplace": False}
        value = func(*args, **(kwargs or {}))
        first = value[0] if isinstance(value, tuple | list) and value else value
        if not isinstance(first, Tensor):
            return value
        tensors = _operands(named, self.names)
        place = (op, tuple(tensors.values()), _caller())
        self.counts[place] += 1
        return self.heard((*place, self.counts[place]), named, tensors, value)

    def heard(
        self,
        key: Key,
        named: Mapping[str, Any],
        tensors: Mapping[str, str],
        value: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Take note of an operation; what is returned takes the place of its value."""
        raise NotImplementedError


class Recorder(Listener):
    """Notes the sites of an example run."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """Start without sites; ``names`` are those of the tensors by identity."""
        super().__init__(names)
        self.sites: dict[Key, Site] = {}
        self.site_of: dict[int, str] = {}
        self._kept: list[Any] = []  # so that ids stay unique
        self._calls: Counter[str] = Counter()

    def note_input(self, name: str, value: Tensor) -> None:
        """Note an input of the network as a site."""
        shape = tuple(value.shape)
        site = Site(name=name, op="input", shape=shape, unit_dim=channel_dim(shape))
        self.sites[("input", (), name, 1)] = site
        self.site_of[id(value)] = name

    def heard(
        self,
        key: Key,
        named: Mapping[str, Any],
        tensors: Mapping[str, str],
        value: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Note the operation as a site."""
        first = value[0] if isinstance(value, tuple | list) else value
        inputs = tuple(self.site_of[id(v)] for v in _flat(named.values()) if id(v) in self.site_of)
        name = f"{key[0]}_{len(self.sites)}"
        shape = tuple(first.shape)
        self.sites[key] = Site(
            name=name,
            op=key[0],
            layer=self._layer(key[0], tensors, inputs),
            where=key[2],
            inputs=tuple(dict.fromkeys(inputs)),
            tensors=tensors,
            settings={k: v for k, v in named.items() if isinstance(v, bool | int | float | str)},
            shape=shape,
            unit_dim=self._unit_dim(key[0], inputs, shape),
        )
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, Tensor):
                self.site_of[id(part)] = name
                self._kept.append(part)
        return value

    def _layer(self, op: str, tensors: Mapping[str, str], inputs: tuple[str, ...]) -> str:
        if tensors and KIND_OF_OP.get(op) is not Kind.ADD:
            owner = next(iter(tensors.values())).rpartition(".")[0]
            self._calls[owner] += 1
            return owner if self._calls[owner] == 1 else f"{owner}#{self._calls[owner]}"
        layers = [s.layer for s in self.sites.values() if s.name in inputs and s.layer]
        return layers[-1] if layers else ""

    def _unit_dim(self, op: str, inputs: tuple[str, ...], shape: tuple[int, ...]) -> int:
        if op.startswith("conv") or op in ("batch_norm", "group_norm", "instance_norm"):
            return 1
        same = [s for s in self.sites.values() if s.name in inputs[:1]]
        if same and len(same[0].shape) == len(shape) and KIND_OF_OP.get(op) is not Kind.AFFINE:
            return same[0].unit_dim
        return channel_dim(shape)


class Watcher(Listener):
    """Shows each known operation to a watch."""

    def __init__(self, names: Mapping[int, str], sites: Mapping[Key, Site], watch: Watch) -> None:
        """Show the operations at ``sites`` to ``watch``."""
        super().__init__(names)
        self.sites = sites
        self.watch = watch

    def heard(
        self,
        key: Key,
        named: Mapping[str, Any],
        tensors: Mapping[str, str],  # noqa: ARG002 - the listener's
        value: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Show a known operation to the watch."""
        site = self.sites.get(key)
        found = self.watch(site, named, value) if site is not None else None
        return value if found is None else found


def _named(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    op = getattr(func, "__name__", str(func)).strip("_")
    op = _RENAMED.get(op, op)
    names = _POSITIONS[op].split() if op in _POSITIONS else _parameters(func)
    named = dict(zip(names, args, strict=False)) if names else dict(enumerate_names(args))
    named |= kwargs
    if "self" in named:
        named["input"] = named.pop("self")
    if op == "embedding":
        named["indices"] = named.pop("input")
    if op in ("clamp", "clamp_min") and named.get("min") == 0:
        high = named.get("max")
        op = "relu" if high is None or high > LARGE else op
    return op, named


def enumerate_names(args: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield arguments under made-up names; the first is ``input``."""
    for place, value in enumerate(args):
        yield ("input" if place == 0 else f"arg{place}"), value


@cache
def _parameters(func: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(func).parameters)
    except (TypeError, ValueError):
        return ()


def _flat(values: Any) -> Iterator[Any]:  # noqa: ANN401 - nested arguments
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield value


def _operands(named: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument, value in named.items():
        nested = isinstance(value, tuple | list)
        for place, item in enumerate(value if nested else (value,)):
            if id(item) in names:
                found[f"{argument}.{place}" if nested else argument] = names[id(item)]
    return found


def _caller() -> str | None:
    """Return ``file:line`` of the innermost frame outside torch and this module."""
    frame = sys._getframe(2)  # noqa: SLF001 - traceback.extract_stack is 100 times slower
    inside = (str(torch.__path__[0]), __file__, "<")
    while frame is not None:
        if not frame.f_code.co_filename.startswith(inside):
            return f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None
