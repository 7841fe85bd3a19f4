"""Which of our faults each rule of the other tools is about, by what the rule says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Severities of each tool that count as an alarm: from its "warning" upwards.
_ALARMS = frozenset({"WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"})


def is_alarm(tool: str, severity: str) -> bool:
    """Tell whether a tool's severity is a warning or worse.

    >>> is_alarm("model-clinic", "INFO")
    False
    """
    return tool in COVERED and severity.upper() in _ALARMS


def _codes(names: str) -> frozenset[str]:
    return frozenset(names.split())


COVERED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "model-clinic": {
        "nan_inf": _codes("NUM001"),
        "weight_corruption": _codes("NUM001 NUM002 INI001 EMB001"),
        "dead_neurons": _codes("ACT001 ATT001 EMB001 INI001 WGT002"),
        "stuck_gate_closed": _codes("ACT003"),
        "stuck_gate_open": _codes("ACT003"),
        "exploding_norm": _codes("ACT005 BN003 INI002 LN001 NUM002 RES001 RNN001"),
        "vanishing_norm": _codes("EMB001 INI001 INI002 NUM002 RES001 RNN001"),
        "heavy_tails": _codes("NUM002"),
        "norm_drift": _codes("BN003 LN001"),
        "saturated_weights": _codes("ACT003 INI001 NUM002"),
        "identical_rows": _codes("EMB001 INI001 WGT001 WGT002"),
        "attention_imbalance": _codes("ACT004 ATT001"),
        "head_redundancy": _codes("ATT001"),
        "positional_encoding_issues": _codes("EMB001 INI001"),
        "token_collapse": _codes("EMB001"),
        "gradient_noise": _codes("WGT002 WGT003"),  # its name for the condition number
        "representation_drift": _codes("ACT005 RES001"),
        "model_aging": _codes("EMB001 WGT002"),
        "lora_merge_artifacts": _codes("WGT002 WGT003"),
        "quantization_degradation": _codes("NUM002"),
        "causal_outlier": _codes("ACT005 NUM002"),
        "layer_isolation": _codes("ACT005"),
    },
    "torchmortem": {
        "dead_units": _codes("ACT001"),
        "saturation": _codes("ACT003"),
        "gradient_flow": _codes("GRD001 GRD002 GRD004"),
        "rank_collapse": _codes("ACT007"),
        "weight_norm": _codes("ACT005 GRD003 INI002 NUM002"),
    },
    "torch-audit": {
        "TA100": _codes("NUM001"),
        "TA102": _codes("GRD002"),
        "TA104": _codes("GRD004"),
        "TA105": _codes("ACT001"),
        "TA301": _codes("DAT001"),
        "TA302": _codes("DAT001"),
        "TA303": _codes("DAT001"),
        "TA500": _codes("GRD004"),
    },
    "torchdiag": {
        "dead_neurons": _codes("ACT001"),
        "gradient_explode": _codes("GRD002"),
        "gradient_vanish": _codes("GRD001 GRD004"),
        "gradient_no_grad": _codes("GRD004"),
        "loss_not_finite": _codes("NUM001"),
    },
}
