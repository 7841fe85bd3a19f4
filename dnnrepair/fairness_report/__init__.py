"""What an audit or a fairness repair has to say: formats draw it, JSON stores it."""

from dnnrepair.fairness_report.inputs import (
    InputFile,
    Inputs,
    SensitiveAttribute,
    Tool,
)
from dnnrepair.fairness_report.measurement import (
    CalibrationBin,
    Curves,
    Disparity,
    Estimate,
    Group,
    Individual,
    Measurement,
    Pair,
)
from dnnrepair.fairness_report.repair import (
    BaselineResult,
    Change,
    Constraint,
    Fairea,
    Flips,
    Objective,
    ParetoPoint,
    PatchCard,
    Search,
)
from dnnrepair.fairness_report.report import (
    Caution,
    FairnessReport,
    Outcome,
)

__all__ = [
    "BaselineResult",
    "CalibrationBin",
    "Caution",
    "Change",
    "Constraint",
    "Curves",
    "Disparity",
    "Estimate",
    "Fairea",
    "FairnessReport",
    "Flips",
    "Group",
    "Individual",
    "InputFile",
    "Inputs",
    "Measurement",
    "Objective",
    "Outcome",
    "Pair",
    "ParetoPoint",
    "PatchCard",
    "Search",
    "SensitiveAttribute",
    "Tool",
]
