"""What each parameter and buffer is: from the graph that reads it, else from name and shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from dnnrepair.observation import Role, TensorInfo
from dnnrepair.sites import Kind, Site, Sites

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from torch import Tensor

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_GATES = {"lstm": 4, "gru": 3, "lstm_cell": 4, "gru_cell": 3}


def device_of(tensors: Iterable[Tensor]) -> torch.device:
    """Return where the first of some tensors is, the CPU if there is none."""
    return next((value.device for value in tensors), torch.device("cpu"))


def memory_of(value: Tensor) -> tuple[object, ...]:
    """Return what two tensors that are one have in common; an empty one is only itself."""
    start = value.data_ptr() if value.numel() else id(value)
    return (start, value.dtype, value.shape, value.stride())


def each_once(
    change: Callable[[Tensor], Tensor], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return tensors changed, where several names of one tensor stay names of one tensor."""
    known: dict[object, Tensor] = {}
    for value in tensors.values():
        if memory_of(value) not in known:
            known[memory_of(value)] = change(value)
    return {name: known[memory_of(value)] for name, value in tensors.items()}


def describe(
    tensors: Mapping[str, Tensor],
    sites: Sites | None,
    buffers: Collection[str],
    trainable: Collection[str],
) -> dict[str, TensorInfo]:
    """Return what each tensor is, in the order of ``tensors``.

    Args:
        tensors: parameters and buffers by name.
        sites: the operations that read them; None if there is no graph.
        buffers: names that are not parameters.
        trainable: names of the parameters that ask for a gradient.
    """
    readers = _first_readers(sites) if sites is not None else {}
    return {
        name: _info(name, value, readers, known=sites is not None, buffer=name in buffers)
        if name not in trainable
        else _info(name, value, readers, known=sites is not None, trainable=True)
        for name, value in tensors.items()
    }


def _first_readers(sites: Sites) -> dict[str, tuple[Site, str]]:
    readers: dict[str, tuple[Site, str]] = {}
    for site in sites:
        for argument, name in site.tensors.items():
            readers.setdefault(name, (site, argument))
    return readers


def _info(
    name: str,
    value: Tensor,
    readers: Mapping[str, tuple[Site, str]],
    *,
    known: bool,
    buffer: bool = False,
    trainable: bool = False,
) -> TensorInfo:
    site, argument = readers.get(name, (None, ""))
    shape = tuple(value.shape)
    role = _role(site, argument, name, shape) if site else _guess(name, shape)
    groups = int(site.setting("groups", 1)) if site else 1
    transposed = bool(site and site.op.startswith("conv_transpose")) or _is_matmul(site)
    fans = _fans(shape, groups, transposed=transposed)
    matrix = role in (Role.WEIGHT, Role.RECURRENT)
    return TensorInfo(
        name=name,
        layer=name.rpartition(".")[0],
        role=role,
        shape=shape,
        trainable=trainable,
        buffer=buffer,
        used=None if not known else site is not None or name.endswith(_STATISTICS[2]),
        fan_in=fans[0] if matrix else 0,
        fan_out=fans[1] if matrix else 0,
        unit_dim=1 if transposed else 0,
        blocks=_blocks(site, name),
        groups=groups,
        site=site.name if site else "",
    )


def _is_matmul(site: Site | None) -> bool:
    """A hand-written product ``x @ W`` holds its weight as (in, out)."""
    return bool(site and site.op == "linear" and site.settings.get("transposed"))


def _role(site: Site, argument: str, name: str, shape: tuple[int, ...]) -> Role:
    if name.endswith(_STATISTICS):
        return Role.STATISTIC
    if site.kind is Kind.NORM:
        return {"weight": Role.SCALE, "bias": Role.SHIFT}.get(argument, Role.STATISTIC)
    if site.kind is Kind.EMBEDDING:
        return Role.EMBEDDING
    if site.kind is Kind.RECURRENT:
        if len(shape) < 2:  # noqa: PLR2004 - a vector is a bias
            return Role.BIAS
        return Role.RECURRENT if "weight_hh" in name or argument == "w_hh" else Role.WEIGHT
    if site.kind is Kind.AFFINE:
        return {"weight": Role.WEIGHT, "bias": Role.BIAS}.get(argument, Role.OTHER)
    return Role.OTHER


def _guess(name: str, shape: tuple[int, ...]) -> Role:
    last = name.rpartition(".")[2]
    lower = name.lower()
    if last in _STATISTICS:
        return Role.STATISTIC
    if "weight_hh" in last:
        return Role.RECURRENT
    if "bias" in last or last == "beta":
        norm = any(part in lower for part in ("norm", "bn", ".ln"))
        return Role.SHIFT if norm else Role.BIAS
    if len(shape) == 1 and (last.startswith("weight") or last == "gamma"):
        return Role.SCALE
    if len(shape) == 2 and ("emb" in lower or "wte" in lower or "wpe" in lower):  # noqa: PLR2004
        return Role.EMBEDDING
    if len(shape) >= 2 and "weight" in last:  # noqa: PLR2004 - a matrix or kernel
        return Role.WEIGHT
    return Role.OTHER


def _fans(shape: tuple[int, ...], groups: int, *, transposed: bool) -> tuple[int, int]:
    if len(shape) < 2:  # noqa: PLR2004 - a vector has no fans
        return 0, 0
    kernel = math.prod(shape[2:])
    if transposed:  # (in, out / groups, *kernel)
        return shape[0] // groups * kernel, shape[1] * kernel
    return shape[1] * kernel, shape[0] // groups * kernel


def _blocks(site: Site | None, name: str) -> int:
    if "in_proj" in name:
        return 3
    return _GATES.get(site.op, 1) if site else 1
