"""Drawing all weights of a network anew, each to match the activation that follows it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from dnnrepair.activations import find as find_activation
from dnnrepair.errors import UnknownNameError
from dnnrepair.initializers import Fans, Matching, matching
from dnnrepair.initializers import find as find_initializer
from dnnrepair.observation import Role
from dnnrepair.repairing.states import with_state
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.observation import TensorInfo
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject

DRAWN = "all weights drawn anew, each for the activation behind it"
_PASSED = (Kind.NORM, Kind.VIEW, Kind.DROPOUT, Kind.POOL, Kind.ADD)  # on the way to an activation
_ROW = Fans(fan_in=1, fan_out=1)  # of an embedding: one is read at a time
_CONSTANTS = {Role.BIAS: 0.0, Role.SCALE: 1.0, Role.SHIFT: 0.0}


def redrawn(subject: Subject, generator: torch.Generator) -> Subject:
    """Return the network with fresh weights, biases zero and normalizations as they begin.

    Weights are drawn by the initializer that matches the activation behind them, recurrent ones
    orthogonally, embeddings with a standard deviation of 1. What has no role (positions, slopes of
    activations) stays, unless it is not finite.
    """
    sites = subject.running.sites
    state = {
        name: _fresh(value, subject.infos[name], sites, generator)
        for name, value in subject.tensors.items()
        if name in subject.infos
    }
    return with_state(subject, state)


def _fresh(value: Tensor, info: TensorInfo, sites: Sites, rng: torch.Generator) -> Tensor:
    """Return what a tensor begins with."""
    if info.role in _CONSTANTS:
        return torch.full_like(value, _CONSTANTS[info.role])
    if info.role is Role.STATISTIC:
        return torch.full_like(value, 1.0 if info.name.endswith("var") else 0.0)
    if info.buffer or not info.trainable:
        return value
    if info.role is Role.EMBEDDING:
        return _drawn(
            value, Matching(find_initializer("he_normal"), 1.0), Fans(fan_in=1, fan_out=1), rng
        )
    if info.role in (Role.WEIGHT, Role.RECURRENT) and value.dim() > 1:
        return _drawn(value, _match(info, sites), _fans(value, info), rng)
    return torch.where(value.isfinite(), value, torch.zeros_like(value))


def _drawn(value: Tensor, how: Matching, fans: Fans, rng: torch.Generator) -> Tensor:
    found = torch.empty(value.shape, dtype=torch.float32)  # drawn on the CPU, the same everywhere
    how.initializer.fill(found, fans, gain=how.gain, rng=rng)
    return found.to(value)


def _fans(value: Tensor, info: TensorInfo) -> Fans:
    area = math.prod(value.shape[2:])
    return Fans(
        fan_in=info.fan_in or value.shape[1] * area,
        fan_out=info.fan_out or value.shape[0] * area,
        blocks=max(info.blocks, info.groups),
        inputs_first=info.unit_dim == 1,
    )


def _match(info: TensorInfo, sites: Sites) -> Matching:
    """Return the initializer of the activation that a weight's outputs enter first."""
    if info.role is Role.RECURRENT:
        return Matching(find_initializer("orthogonal"), 1.0)
    activation = _activation(sites[info.site], sites) if info.site in sites else ""
    try:
        return matching(find_activation(activation))
    except UnknownNameError:
        return Matching(find_initializer("xavier_normal"), 1.0)  # no activation: a linear layer


def _activation(site: Site, sites: Sites) -> str:
    """Return the first activation behind a site, "" if another layer comes before one."""
    waiting, seen = list(sites.readers(site)), set[str]()
    while waiting:
        reader = waiting.pop(0)
        if reader.name in seen:
            continue
        seen.add(reader.name)
        if reader.kind is Kind.ACTIVATION:
            return reader.op
        if reader.kind in _PASSED:
            waiting.extend(sites.readers(reader))
    return ""
