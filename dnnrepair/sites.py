"""The network as rules see it: one site per operation, and the edges between them.

Nothing here knows torch; a :class:`~dnnrepair.program.Program` makes the sites.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Kind(StrEnum):
    """What an operation is to a diagnosis."""

    INPUT = "input"
    AFFINE = "affine"
    ACTIVATION = "activation"
    NORM = "norm"
    RECURRENT = "recurrent"
    ATTENTION = "attention"
    EMBEDDING = "embedding"
    SOFTMAX = "softmax"
    DROPOUT = "dropout"
    POOL = "pool"
    ADD = "add"
    VIEW = "view"  # moves or renames values, changes none
    OTHER = "other"


def _ops(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


KIND_OF_OP: Mapping[str, Kind] = {
    **_ops(Kind.INPUT, "input"),
    **_ops(
        Kind.AFFINE,
        "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    ),
    **_ops(
        Kind.ACTIVATION,
        "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus sigmoid tanh "
        "hardtanh hardsigmoid hardswish log_sigmoid softsign hardshrink softshrink tanhshrink",
    ),
    **_ops(Kind.NORM, "batch_norm layer_norm group_norm instance_norm rms_norm"),
    **_ops(Kind.RECURRENT, "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell"),
    **_ops(Kind.ATTENTION, "scaled_dot_product_attention"),
    **_ops(Kind.EMBEDDING, "embedding embedding_bag"),
    **_ops(Kind.SOFTMAX, "softmax log_softmax"),
    **_ops(Kind.DROPOUT, "dropout feature_dropout alpha_dropout feature_alpha_dropout"),
    **_ops(
        Kind.POOL,
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d mean "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
        "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
        "fractional_max_pool2d fractional_max_pool3d max_pool2d_with_indices",
    ),
    **_ops(Kind.ADD, "add"),
    **_ops(
        Kind.VIEW,
        "view reshape _unsafe_view flatten unflatten transpose permute movedim squeeze unsqueeze "
        "contiguous clone select slice getitem expand expand_as chunk split split_with_sizes "
        "detach to _to_copy alias t mT swapaxes swapdims identity lift_fresh_copy unbind narrow",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One operation of the network, as it stands in the graph.

    Attributes:
        name: unique in the network.
        op: canonical operation name, such as ``linear`` or ``relu`` (a key of ``KIND_OF_OP``).
        layer: dotted name of the module that owns its parameters; for an operation without
            parameters that of the nearest layer upstream; ``#2`` marks a module's second call.
        module: dotted name of the module whose ``forward`` made the call, where known.
        where: ``file:line`` of the user's code, where known.
        inputs: names of the sites whose outputs it reads.
        tensors: parameter and buffer names by argument, such as ``weight``.
        settings: its scalar arguments, such as ``eps`` or ``negative_slope``.
        shape: of its output for the example batch, batch dimension included; empty if not a tensor.
        unit_dim: the output dimension that counts units (channels or features).
    """

    name: str
    op: str
    layer: str = ""
    module: str = ""
    where: str | None = None
    inputs: tuple[str, ...] = ()
    tensors: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, float | str | tuple[float, ...]] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    unit_dim: int = -1

    @property
    def kind(self) -> Kind:
        """What the operation is to a diagnosis."""
        return KIND_OF_OP.get(self.op, Kind.OTHER)

    @property
    def width(self) -> int:
        """How many units the output has, 0 if it is no tensor."""
        return self.shape[self.unit_dim] if self.shape else 0

    def setting(self, name: str, default: float) -> float:
        """Return a numeric argument of the call."""
        value = self.settings.get(name, default)
        return float(value) if isinstance(value, int | float) else default


@dataclass(frozen=True)
class Sites:
    """All sites in execution order, with the questions rules ask of the graph."""

    sequence: Sequence[Site] = ()
    output: str | None = None  # the site whose value is the prediction

    def __iter__(self) -> Iterator[Site]:
        """Yield the sites in execution order."""
        return iter(self.sequence)

    def __getitem__(self, name: str) -> Site:
        """Return the site of that name."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether a site has that name."""
        return name in self._by_name

    def of(self, *kinds: Kind) -> tuple[Site, ...]:
        """Return the sites of these kinds, in execution order."""
        return tuple(site for site in self.sequence if site.kind in kinds)

    def position(self, name: str) -> int:
        """Return the place of a site in execution order, from 0."""
        return self._positions[name]

    def source(self, site: Site, argument: int = 0) -> Site | None:
        """Return the site that computed an input's values, seen through views and dropout."""
        if argument >= len(site.inputs):
            return None
        found = self._by_name[site.inputs[argument]]
        while found.kind in (Kind.VIEW, Kind.DROPOUT) and found.inputs:
            found = self._by_name[found.inputs[0]]
        return found

    def readers(self, site: Site) -> tuple[Site, ...]:
        """Return the sites that read a site's values, seen through views and dropout."""
        found: list[Site] = []
        for name in self._readers.get(site.name, ()):
            reader = self._by_name[name]
            if reader.kind in (Kind.VIEW, Kind.DROPOUT):
                found.extend(self.readers(reader))
            else:
                found.append(reader)
        return tuple(found)

    def ancestors(self, name: str) -> frozenset[str]:
        """Return the names of all sites upstream of a site, without itself."""
        seen: set[str] = set()
        waiting = list(self._by_name[name].inputs)
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(self._by_name[current].inputs)
        return frozenset(seen)

    @cached_property
    def _by_name(self) -> dict[str, Site]:
        return {site.name: site for site in self.sequence}

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {site.name: place for place, site in enumerate(self.sequence)}

    @cached_property
    def _readers(self) -> dict[str, list[str]]:
        readers: dict[str, list[str]] = {}
        for site in self.sequence:
            for name in dict.fromkeys(site.inputs):
                readers.setdefault(name, []).append(site.name)
        return readers
