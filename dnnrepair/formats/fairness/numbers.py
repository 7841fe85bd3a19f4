"""How the numbers of a fairness report are named and written."""

from __future__ import annotations

from math import isfinite

NAMES = {
    "base_rate": "base rate",
    "selection_rate": "selected",
    "tpr": "TPR",
    "fpr": "FPR",
    "ppv": "PPV",
    "accuracy": "accuracy",
    "calibration_error": "ECE",
    "mean_error": "mean error",
    "mean_absolute_error": "absolute error",
    "mean_prediction": "mean prediction",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
}
HEADS = {**NAMES, "base_rate": "base", "selection_rate": "sel.", "accuracy": "acc."}
STATES = {"pass": "healthy", "fail": "error", "inconclusive": "warning"}
_LEAST_P = 0.001


def shown(value: float, digits: int = 3) -> str:
    """Return a number for a table, ``-`` if it is undefined.

    >>> shown(0.12345), shown(float("nan"))
    ('0.123', '-')
    """
    return f"{value:.{digits}f}" if isfinite(value) else "-"


def signed(value: float) -> str:
    """Return a difference for a table, ``-`` if it is undefined."""
    return f"{value:+.3f}" if isfinite(value) else "-"


def span(low: float, high: float, digits: int = 3) -> str:
    """Return an interval for a table, "" if there is none."""
    known = isfinite(low) and isfinite(high)
    return f"{low:.{digits}f} to {high:.{digits}f}" if known else ""


def signed_span(low: float, high: float) -> str:
    """Return an interval of a difference for a table, "" if there is none."""
    return f"{low:+.3f} to {high:+.3f}" if isfinite(low) and isfinite(high) else ""


def p_value(p: float) -> str:
    """Return a p-value for a table.

    >>> p_value(0.0004), p_value(0.25)
    ('< 0.001', '0.250')
    """
    return f"< {_LEAST_P:g}" if p < _LEAST_P else shown(p)
