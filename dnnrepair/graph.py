"""Read sites off an exported graph: operation names, layers, source lines, shapes, edges."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from dnnrepair.sites import KIND_OF_OP, Kind, Site, Sites

if TYPE_CHECKING:
    from collections.abc import Mapping

_TORCH = str(Path(torch.__file__).parent)
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_RENAMED = {
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "cudnn_batch_norm": "batch_norm",
    "_fused_rms_norm": "rms_norm",
    "special_expit": "sigmoid",
    "clip": "clamp",
    "_scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention",
}
_MATRIX_PRODUCTS = frozenset({"matmul", "mm", "addmm", "bmm"})
_IGNORED = frozenset({"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size"})
LARGE = 1e30  # a clamp this far out is no clamp


def is_ignored(node: fx.Node) -> bool:
    """Tell whether a node only checks, and computes nothing."""
    return _packet_name(node) in _IGNORED


def read_sites(
    graph: fx.Graph,
    tensor_of_node: Mapping[str, str],
    prediction: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Sites:
    """Return the sites of an exported graph.

    Args:
        graph: of a ``torch.export.ExportedProgram``.
        tensor_of_node: state-dict name by the name of the placeholder that stands for it.
        prediction: which of the flat outputs is the prediction; None for the first float tensor.
        shapes: of outputs by node name, where known better than the graph tells.
    """
    reader = _Reader(tensor_of_node, prediction, shapes or {})
    for node in graph.nodes:
        reader.read(node)
    return Sites(tuple(reader.sites.values()), output=reader.output)


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """Return a call's arguments by schema name, with torch's ``self`` called ``input``."""
    schema = getattr(node.target, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema else []
    named = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    if not names:
        named = {f"arg{place}": value for place, value in enumerate(node.args)} | named
    if "self" in named:
        named["input"] = named.pop("self")
    if "mat1" in named:  # addmm(input=bias, mat1, mat2)
        named = {"bias": named["input"], "input": named["mat1"], "weight": named["mat2"]}
    return named


def operation_name(node: fx.Node, arguments: Mapping[str, Any]) -> str:
    """Return the canonical name of a call, such as ``conv2d``; arguments by schema name."""
    name = _packet_name(node)
    name = name if name.startswith("__") else name.rstrip("_")
    name = _RENAMED.get(name, name)
    if name == "convolution":
        transposed = "_transpose" if arguments.get("transposed") else ""
        return f"conv{transposed}{len(arguments['stride'])}d"
    if name in ("clamp", "clamp_min", "hardtanh", "threshold"):
        return _clamp_op(name, arguments)
    return name


class _Reader:
    def __init__(
        self,
        tensor_of_node: Mapping[str, str],
        prediction: int | None,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self._shapes = shapes
        self._wanted = prediction
        self.sites: dict[str, Site] = {}
        self.output: str | None = None
        self._tensors = dict(tensor_of_node)
        self._calls: dict[str, int] = {}

    def read(self, node: fx.Node) -> None:
        if node.op == "placeholder" and node.name not in self._tensors:
            shape = self._shapes.get(node.name) or _shape(node)
            self.sites[node.name] = Site(
                name=node.name, op="input", layer="", shape=shape, unit_dim=channel_dim(shape)
            )
        elif node.op == "call_function" and not is_ignored(node):
            self._read_call(node)
        elif node.op == "output":
            self.output = self._prediction(node)

    def _read_call(self, node: fx.Node) -> None:
        arguments = named_arguments(node)
        op = operation_name(node, arguments)
        tensors, inputs = self._operands(node, arguments)
        if not inputs and tensors and KIND_OF_OP.get(op) is Kind.VIEW:
            self._tensors[node.name] = next(iter(tensors.values()))  # a view of a parameter
            return
        settings = _settings(arguments)
        if op in _MATRIX_PRODUCTS and tensors:
            op, settings["transposed"] = "linear", True
            tensors = {"bias" if key == "bias" else "weight": tensors[key] for key in tensors}
        shape = self._shapes.get(node.name) or _shape(node)
        self.sites[node.name] = Site(
            name=node.name,
            op=op,
            layer=self._layer(op, tensors, inputs),
            module=_module(node),
            where=_source_line(node),
            inputs=inputs,
            tensors=tensors,
            settings=settings,
            shape=shape,
            unit_dim=self._unit_dim(op, arguments, inputs, shape),
        )

    def _operands(
        self, node: fx.Node, arguments: Mapping[str, Any]
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        tensors: dict[str, str] = {}
        for name, value in arguments.items():
            for place, item in enumerate(value if isinstance(value, list | tuple) else (value,)):
                if isinstance(item, fx.Node) and item.name in self._tensors:
                    key = f"{name}.{place}" if isinstance(value, list | tuple) else name
                    tensors[key] = self._tensors[item.name]
        inputs = tuple(n.name for n in node.all_input_nodes if n.name in self.sites)
        return tensors, inputs

    def _layer(self, op: str, tensors: Mapping[str, str], inputs: tuple[str, ...]) -> str:
        owners = [name.rpartition(".")[0] for name in tensors.values() if "." in name]
        owners = owners or ["" for name in tensors.values() if not name.startswith("lifted_")]
        if owners and KIND_OF_OP.get(op, Kind.OTHER) is not Kind.ADD:
            self._calls[owners[0]] = self._calls.get(owners[0], 0) + 1
            count = self._calls[owners[0]]
            return owners[0] if count == 1 else f"{owners[0]}#{count}"
        upstream = [name for name in inputs if self.sites[name].layer]
        latest = max(
            upstream, key=list(self.sites).index, default=None
        )  # of a residual: the branch
        return self.sites[latest].layer if latest else ""

    def _unit_dim(
        self, op: str, arguments: Mapping[str, Any], inputs: tuple[str, ...], shape: tuple[int, ...]
    ) -> int:
        if op.startswith("conv") or op in ("batch_norm", "group_norm", "instance_norm"):
            return 1 if len(shape) > 1 else -1
        source = self.sites[inputs[0]] if inputs else None
        same = (Kind.ACTIVATION, Kind.ADD, Kind.DROPOUT, Kind.POOL, Kind.OTHER)
        if source and KIND_OF_OP.get(op, Kind.OTHER) in same and len(source.shape) == len(shape):
            return source.unit_dim
        if source and op in ("transpose", "swapaxes", "permute", "movedim"):
            return _moved_dim(op, arguments, source)
        if KIND_OF_OP.get(op) is Kind.VIEW:
            return channel_dim(shape)
        return -1

    def _prediction(self, node: fx.Node) -> str | None:
        (values,) = node.args
        flat = values if isinstance(values, list | tuple) else (values,)
        for value in flat if self._wanted is None else flat[self._wanted :]:
            if isinstance(value, fx.Node) and _is_float(value) and value.name in self.sites:
                return value.name
        return None


def _packet_name(node: fx.Node) -> str:
    packet = getattr(node.target, "overloadpacket", None)
    return getattr(packet or node.target, "__name__", str(node.target))


def _clamp_op(name: str, arguments: Mapping[str, Any]) -> str:
    if name == "threshold":
        zero = arguments.get("threshold") == 0 and arguments.get("value") == 0
        return "relu" if zero else name
    default = (-1, 1) if name == "hardtanh" else (None, None)
    low = arguments.get("min", arguments.get("min_val", default[0]))
    high = arguments.get("max", arguments.get("max_val", default[1]))
    if low == 0 and (high is None or (isinstance(high, int | float) and high > LARGE)):
        return "relu"
    if low == 0 and high == 6:  # noqa: PLR2004 - the 6 of ReLU6
        return "relu6"
    bounded = isinstance(low, int | float) and isinstance(high, int | float)
    return "hardtanh" if bounded and low < high else name


def _settings(arguments: Mapping[str, Any]) -> dict[str, float | str | tuple[float, ...]]:
    found: dict[str, float | str | tuple[float, ...]] = {}
    for name, value in arguments.items():
        if isinstance(value, bool | int | float | str):
            found[name] = value
        elif isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
            found[name] = tuple(value)
    return found


def _module(node: fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return "" if path.startswith("_empty_nn_module_stack") else path


def _source_line(node: fx.Node) -> str | None:
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    for file, line in reversed(frames):
        if not file.startswith((_TORCH, "<")):
            return f"{short_path(file)}:{line}"
    return None


def short_path(file: str) -> str:
    """Return a source file relative to the working directory if inside it, else its name."""
    path = Path(file)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return path.name


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    value = value[0] if isinstance(value, tuple | list) and value else value
    if not isinstance(value, torch.Tensor):
        return ()
    return tuple(size if isinstance(size, int) else _hint(size) for size in value.shape)


def _hint(size: Any) -> int:  # noqa: ANN401 - torch.SymInt has no public hint
    hint = getattr(size.node, "hint", None)
    return int(hint) if hint is not None else 2


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def channel_dim(shape: tuple[int, ...]) -> int:
    """Images ``(N, C, H, W)`` count channels, everything else its last dimension."""
    return 1 if len(shape) in (4, 5) else -1


def _moved_dim(op: str, arguments: Mapping[str, Any], source: Site) -> int:
    rank = len(source.shape)
    dims = list(range(rank))
    try:
        if op == "permute":
            dims = [d % rank for d in arguments["dims"]]
        else:
            one, two = (d % rank for d in list(arguments.values())[1:3])
            dims[one], dims[two] = dims[two], dims[one]
        return dims.index(source.unit_dim % rank)
    except (KeyError, TypeError, ValueError):
        return -1
