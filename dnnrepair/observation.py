"""What was measured, and about which network: all that a rule may look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from dnnrepair.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class Task(StrEnum):
    """What the network is for."""

    CLASSIFY = "classify"
    REGRESS = "regress"
    GENERATE = "generate"


class Phase(StrEnum):
    """How far training has come."""

    INIT = "init"  # fresh initial weights, loss as by chance
    TRAINED = "trained"


class Role(StrEnum):
    """What a tensor is to the operation that reads it."""

    WEIGHT = "weight"  # of an affine layer
    RECURRENT = "recurrent"  # of a recurrent layer, hidden to hidden
    EMBEDDING = "embedding"
    BIAS = "bias"
    SCALE = "scale"  # of a normalization
    SHIFT = "shift"  # of a normalization
    STATISTIC = "statistic"  # running mean, variance, or count of batches
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """A named parameter or buffer of the network.

    Attributes:
        name: as in the state dict.
        layer: dotted name of its module.
        role: what it is to its reader; guessed from name and shape where there is no graph.
        shape: its shape.
        trainable: it is a parameter that asks for a gradient.
        buffer: it is not a parameter.
        used: some operation of the graph reads it; None where there is no graph.
        fan_in: inputs per output unit (in * kernel / groups), 0 where it has no meaning.
        fan_out: outputs per input unit, 0 where it has no meaning.
        unit_dim: the dimension of output units (1 for transposed convolutions, else 0).
        blocks: equal blocks along ``unit_dim`` that are separate matrices (4 LSTM gates, 3 GRU
            gates, 3 for a packed attention projection, else 1).
        groups: of a grouped convolution.
        site: name of the first operation that reads it, "" if none.
    """

    name: str
    layer: str
    role: Role
    shape: tuple[int, ...]
    trainable: bool = True
    buffer: bool = False
    used: bool | None = None
    fan_in: int = 0
    fan_out: int = 0
    unit_dim: int = 0
    blocks: int = 1
    groups: int = 1
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the subject besides measurements.

    Attributes:
        task: what the network is for.
        loss: name of the loss (``cross_entropy``, ``nll``, ``bce``, ``bce_logits``, ``mse``,
            ``l1``, ``smooth_l1``), given or guessed.
        loss_given: the user named the loss.
        phase: set after observation; INIT or TRAINED.
        samples: how many were observed.
        labeled: whether there were labels or targets.
        classes: width of the prediction for classification, else 0.
        mode: "graph", "live" (export failed) or "weights" (no architecture).
        model: the name under which the user knows the model, for commands in remedies.
        data: the ``--data`` argument, for commands in remedies.
        squashed: the prediction is a softmax: probabilities, not logits.
    """

    task: Task = Task.CLASSIFY
    loss: str = "cross_entropy"
    loss_given: bool = False
    phase: Phase = Phase.TRAINED
    samples: int = 0
    labeled: bool = False
    classes: int = 0
    mode: str = "graph"
    model: str = "model.pt"
    data: str = ""
    squashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Observations:
    """Everything a rule may look at.

    Attributes:
        sites: the operations and their edges.
        tensors: parameters and buffers by name.
        facts: what is known besides.
        evidence: measured values, by their type and then by place: a site's name, a tensor's
            name, or "" for the whole network.
        missing: why evidence of a type is not there.
        interrupted: measuring was cut short.
    """

    sites: Sites = field(default_factory=Sites)
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    evidence: Mapping[type, Mapping[str, Any]] = field(default_factory=dict)
    missing: Mapping[type, str] = field(default_factory=dict)
    interrupted: bool = False

    def of(self, kind: type[T]) -> Mapping[str, T]:
        """Return the evidence of one type, by place, in execution order."""
        return self.evidence.get(kind, {})

    def whole(self, kind: type[T]) -> T | None:
        """Return the evidence of one type about the network as a whole."""
        return self.of(kind).get("")
