"""What a run has to say, complete: formats draw it, JSON stores it, nothing else is needed."""

from __future__ import annotations

from dataclasses import dataclass

from dnnrepair.finding import Finding, Severity, Skip

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often values fell into equal bins between ``low`` and ``high``."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerHealth:
    """One line of the layer tree.

    Attributes:
        name: dotted name of the layer.
        op: its main operation, such as ``conv2d``.
        where: ``file:line`` in the user's code, or None.
        shape: of its output, without the batch dimension.
        parameters: how many numbers it holds.
        mark: worst severity found here, None if healthy.
        examined: False if no rule could look at it.
        codes: of the findings here, worst first, consequences included.
        mean, std: of its outputs over the data, None if not measured.
        gradient: ratio of gradient norm to weight norm, None if not measured.
        activations: histogram of its pre-activations, None if not measured.
    """

    name: str
    op: str
    where: str | None = None
    shape: tuple[int, ...] = ()
    parameters: int = 0
    mark: Severity | None = None
    examined: bool = True
    codes: tuple[str, ...] = ()
    mean: float | None = None
    std: float | None = None
    gradient: float | None = None
    activations: Histogram | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Which network was examined, on what.

    Attributes:
        name: as the user named it (file, ``models:NAME`` or class).
        form: how it came, such as "state dict" or "TorchScript".
        digest: sha256 of its tensors, first 16 hex digits.
        mode: "graph", "live" or "weights".
        parameters: how many numbers it learned.
        data: as the user named it, "" if none.
        samples: how many were observed.
        task, loss, phase: what it is for, what it minimizes, how far training has come.
        accuracy: share of right predictions, None if unknown.
        mean_loss: mean loss over the data, None if unknown.
        notes: what the user should know about how it was loaded, a sentence each.
    """

    name: str
    form: str
    digest: str
    mode: str
    parameters: int
    data: str = ""
    samples: int = 0
    task: str = "classify"
    loss: str = ""
    phase: str = "trained"
    accuracy: float | None = None
    mean_loss: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole diagnosis.

    Attributes:
        schema_version: of this structure in JSON.
        tool_version: of dnnrepair.
        model: which network, on what.
        findings: roots, worst first; what follows from them is inside.
        skipped: checks not made, with reasons.
        suppressed: how many findings the baseline already knew.
        layers: the layer tree in execution order.
        checked: codes of the rules that ran.
        settings: what differs from the defaults, ``key = value`` each.
        inconclusive: why the data were too few to judge, "" if they were not.
        interrupted: the run was cut short; the report is partial.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str = ""
    model: ModelCard
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skip, ...] = ()
    suppressed: int = 0
    layers: tuple[LayerHealth, ...] = ()
    checked: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    inconclusive: str = ""
    interrupted: bool = False

    def worst(self) -> Severity | None:
        """Return the severity of the worst finding, None if there is none."""
        return min((f.severity for f in self.findings), key=lambda s: s.rank, default=None)

    def count(self, severity: Severity) -> int:
        """Return how many root findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)
