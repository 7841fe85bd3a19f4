"""Fairness reports to draw: measured on made-up rows, with a group that is too small to judge."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from dnnrepair.fairness.gates import Gates, outcome
from dnnrepair.fairness.measure import Plan, measure
from dnnrepair.fairness.rows import Attribute, Rows, intersections
from dnnrepair.fairness_report import (
    BaselineResult,
    Caution,
    Change,
    Constraint,
    Estimate,
    Fairea,
    FairnessReport,
    Flips,
    Individual,
    InputFile,
    Inputs,
    Measurement,
    Objective,
    Outcome,
    ParetoPoint,
    PatchCard,
    Search,
    SensitiveAttribute,
    Tool,
)

SEX, REGION = ("Female", "Male", "Other"), ("north", "south")


def people(shift: float, seed: int = 0, count: int = 1500) -> Rows:
    """Rows whose scores favor Male by ``shift``; twelve belong to Other."""
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, count)
    sex[:12] = 2
    label = (rng.random(count) < 0.35 + 0.1 * (sex == 1)).astype(np.int64)
    score = np.clip(0.3 + 0.3 * label + shift * (sex == 1) + rng.normal(0, 0.15, count), 0, 1)
    return Rows(
        attributes=(
            Attribute(name="sex", levels=SEX, codes=sex, reference=1, columns=("sex",)),
            Attribute(name="region", levels=REGION, codes=rng.integers(0, 2, count), reference=0),
        ),
        labels=label,
        predictions=(score >= 0.5).astype(np.int64),
        classes=("no", "yes"),
        scores=score,
    )


def measured(shift: float, part: str = "test", seed: int = 0) -> Measurement:
    return measure(people(shift, seed), Plan(gates=Gates(), draws=100), part)


def inputs() -> Inputs:
    rows = people(0)
    return Inputs(
        files=(
            InputFile(role="model", path="runs/credit.pt2", sha256="ab" * 32),
            InputFile(role="test", path="people.csv", sha256="cd" * 32, rows=1500),
        ),
        task="binary",
        label="granted",
        classes=("no", "yes"),
        positive="yes",
        threshold=0.5,
        sensitive=tuple(
            SensitiveAttribute(
                name=one.name,
                levels=one.levels,
                reference=one.levels[one.reference],
                is_model_input=one.name == "sex" or None,
                parts=one.parts,
            )
            for one in (*rows.attributes, *intersections(rows.attributes))
        ),
    )


def persons(flips: float) -> tuple[Individual, ...]:
    share = Estimate(id="flip_rate", value=flips, low=flips - 0.01, high=flips + 0.01, count=1500)
    move = Estimate(id="independence", value=flips / 2, low=flips / 3, high=flips, count=1500)
    return (
        Individual(attribute="sex", flip_rate=share, independence=move, rows=1500),
        Individual(attribute="region", reason="it is no input of the network"),
    )


def audit() -> FairnessReport:
    found = measured(0.2)
    return FairnessReport(
        tool=Tool(version="0.1.0", torch="2.14.1", numpy="2.4.6"),
        draws=100,
        inputs=inputs(),
        before=(found,),
        individual=persons(0.12),
        cautions=(
            Caution(code="TINY_GROUP", message="Other: n < 30", attribute="sex", level="Other"),
        ),
        skipped=("calibration of nobody",),
        notes=("12 rows are made up, as are all others",),
        outcome=outcome(found.disparities, Gates()),
    )


def change(name: str, attribute: str, before: float, after: float, **more: Any) -> Change:
    moved = after - before
    ends = {"low": moved - 0.02, "high": moved + 0.02, "p": 0.04}
    return Change(id=name, attribute=attribute, before=before, after=after, value=moved,
                  **{**ends, **more})  # fmt: skip


def repair() -> FairnessReport:
    """A repair that was accepted, and made one number worse."""
    before = tuple(measured(0.2, part, n) for n, part in enumerate(("test", "select", "repair")))
    after = tuple(measured(0.03, part, n) for n, part in enumerate(("test", "select", "repair")))
    nan = float("nan")
    return replace(
        audit(),
        command="debias",
        before=before,
        after=after,
        delta=(
            change("equalized_odds_difference", "sex", 0.36, 0.08, optimized=True),
            change("accuracy", "", 0.78, 0.775),
            change("f1", "", 0.7, 0.69),
            change("predictive_parity_difference", "sex", 0.05, 0.11),
            change("demographic_parity_ratio", "sex", 0.5, 0.8),
            change("theil_index", "sex", 0.1, 0.1, low=nan, high=nan),
        ),
        individual_after=persons(0.03),
        objective=Objective(id="eodds", attribute="sex", settings=("layers = auto",)),
        constraints=(
            Constraint(id="accuracy change", limit=-0.01, observed=-0.005, held=True),
            Constraint(id="F1 ratio", limit=0.98, observed=0.97, held=False),
        ),
        patch=PatchCard(
            layers=("fc1", "fc2"),
            weights=1203,
            l2=0.7,
            linf=0.2,
            file="credit.patch",
            sensitive_weights=True,
        ),
        search=Search(method="descent", evaluations=60, seconds=12.3, history=(0.3, 0.3, 0.2, 0.1)),
        pareto=(
            ParetoPoint(
                budget=0.005,
                select_accuracy=0.779,
                select_gap=0.1,
                test_accuracy=0.775,
                test_gap=0.08,
            ),
            ParetoPoint(
                budget=nan,
                select_accuracy=0.779,
                select_gap=0.1,
                test_accuracy=0.775,
                test_gap=0.08,
                chosen=True,
            ),
            ParetoPoint(
                budget=nan, select_accuracy=0.76, select_gap=0.04, test_accuracy=0.75, test_gap=0.09
            ),
        ),
        fairea=Fairea(
            baseline=tuple((0.78 - 0.02 * n, 0.36 - 0.036 * n) for n in range(11)),
            point=(0.775, 0.08),
            region="good",
        ),
        flips=(
            Flips(attribute="sex", level="Female", label="yes", n=300, lost=1, won=20),
            Flips(attribute="sex", level="Male", label="yes", n=330, lost=30, won=2),
        ),
        baselines=(
            BaselineResult(id="unmodified", accuracy=0.78, gap=0.36, f1=0.7),
            BaselineResult(
                id="threshold_optimizer",
                accuracy=0.77,
                gap=0.05,
                f1=0.68,
                uses_sensitive_at_inference=True,
            ),
        ),
        outcome=Outcome(status="inconclusive", exit_code=3, reasons=("F1 ratio is 0.97",)),
    )


def refused() -> FairnessReport:
    """A repair that found nothing."""
    whole = repair()
    return replace(
        whole,
        after=(),
        delta=(),
        individual_after=(),
        constraints=(),
        patch=None,
        pareto=(),
        fairea=None,
        flips=(),
        outcome=Outcome(status="nothing accepted", exit_code=4, reasons=("no candidate gains",)),
    )


def renamed(value: Any, names: dict[str, str], extra: str) -> Any:
    """Return a report with other names, and with more text after every sentence and path."""
    if isinstance(value, str):
        found = value
        for old, new in names.items():
            found = found.replace(old, new)
        return f"{found}{extra}" if " " in value or "." in value else found
    if isinstance(value, tuple):
        return tuple(renamed(one, names, extra) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: renamed(getattr(value, f.name), names, extra) for f in fields(value)}
        return replace(value, **changed)
    return value
