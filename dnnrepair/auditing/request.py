"""What an audit is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dnnrepair.fairness.gates import Gates
from dnnrepair.progress import Progress, silent

if TYPE_CHECKING:
    from dnnrepair.fairness.columns import Grouping


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What an audit is asked, as the user named it.

    Attributes:
        model: network, None for predictions from a file.
        data: table of the rows, ``.npz`` with ``X``, ``y`` and ``s_NAME``, or None where the
            predictions hold all that is needed.
        predictions: table of predictions, None to run the network.
        label: column of the labels.
        positive: favorable value of the label, None where it is obvious or there are several.
        grouping: how people are grouped.
        gates: what is asked of the network.
        classes: in the order of the network's outputs, empty for numbers or the alphabet.
        threshold: of the score of the positive class, in [0, 1].
        task: "classify" or "regress", None by the labels.
        weight: column of weights, None if all rows count alike.
        identity: column by which predictions and data are joined, None for none.
        preprocess: a TOML file or ``package.module:callable``, None for none.
        features: columns that are the input, all others by default.
        arch, loss, trust_pickle, device, batch_size: of the network, as elsewhere.
        intersect: look at pairs of attributes.
        gate_intersections: and let them count for the verdict.
        draws: of the bootstrap.
        seed: of whatever is random.
        progress: is told how far the work has come.
    """

    model: str | None = None
    data: str | None = None
    predictions: str | None = None
    label: str = "label"
    positive: str | None = None
    grouping: Grouping
    gates: Gates = field(default_factory=Gates)
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    task: str | None = None
    weight: str | None = None
    identity: str | None = None
    preprocess: str | None = None
    features: tuple[str, ...] = ()
    arch: str | None = None
    loss: str | None = None
    trust_pickle: bool = False
    device: str = "cpu"
    batch_size: int = 1024
    intersect: bool = True
    gate_intersections: bool = False
    draws: int = 2000
    seed: int = 0
    progress: Progress = silent
