"""Judge many: observe what the rules need, let each rule judge, put causes before consequences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair import __version__
from dnnrepair.causes import by_cause
from dnnrepair.evidence.gradient import Gradient
from dnnrepair.evidence.initializer import InitializerFit
from dnnrepair.evidence.moments import Moments
from dnnrepair.evidence.predictions import Predictions
from dnnrepair.evidence.values import Values
from dnnrepair.finding import Finding, Skip
from dnnrepair.layers import layer_tree
from dnnrepair.observe import observe
from dnnrepair.phase import phase_of
from dnnrepair.progress import silent
from dnnrepair.report import ModelCard, Report
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dnnrepair.finding import Rule
    from dnnrepair.observation import Observations
    from dnnrepair.progress import Progress
    from dnnrepair.subject import Subject

ENOUGH_SAMPLES = 512  # rules of evidence: per-unit claims need this many
_FOR_THE_REPORT = frozenset({Moments, Values, Gradient, Predictions, InitializerFit})


def diagnose(
    subject: Subject,
    chosen: Sequence[Rule],
    *,
    seed: int = 0,
    batch_size: int = 128,
    progress: Progress = silent,
) -> Report:
    """Return the findings of the chosen rules about a subject.

    An interrupt (Ctrl-C) ends the measuring; the report is then partial and says so.
    """
    needs = _FOR_THE_REPORT.union(*(rule.needs | rule.wants for rule in chosen))
    seen = observe(subject, needs, seed=seed, batch_size=batch_size, progress=progress)
    return judge(seen, chosen, subject)


def judge(seen: Observations, chosen: Sequence[Rule], subject: Subject) -> Report:
    """Return the report on what was observed."""
    seen = replace(seen, facts=replace(seen.facts, phase=phase_of(seen)))
    said = [saying for rule in chosen for saying in _check(rule, seen)]
    said.extend(_unexamined(seen))
    findings = by_cause([s for s in said if isinstance(s, Finding)], seen)
    skipped = tuple(s for s in said if isinstance(s, Skip))
    unable = {skip.code for skip in skipped if not skip.layer}
    return Report(
        tool_version=__version__,
        model=_card(seen, subject),
        findings=findings,
        skipped=skipped,
        layers=layer_tree(seen, findings),
        checked=tuple(rule.code for rule in chosen if rule.code not in unable),
        inconclusive=_inconclusive(seen),
        interrupted=seen.interrupted,
    )


def _check(rule: Rule, seen: Observations) -> Iterator[Finding | Skip]:
    """Yield what a rule says, or the reason why it cannot say anything."""
    reasons = {seen.missing[kind] for kind in rule.needs if kind in seen.missing}
    if reasons:
        yield Skip(code=rule.code, reason="; ".join(sorted(reasons)))
        return
    try:
        yield from rule.check(seen)
    except np.linalg.LinAlgError as error:
        yield Skip(code=rule.code, reason=f"the measured numbers are too extreme ({error})")


def _unexamined(seen: Observations) -> Iterator[Skip]:
    """Yield the layers whose operation no rule knows."""
    for site in seen.sites:
        if site.kind is Kind.OTHER and site.tensors:
            names = ", ".join(sorted(set(site.tensors.values())))
            reason = f"no rule knows the operation {site.op} that reads {names}"
            yield Skip(code="", reason=reason, layer=site.layer)


def _inconclusive(seen: Observations) -> str:
    samples = seen.facts.samples
    if seen.facts.mode == "weights" or not samples or samples >= ENOUGH_SAMPLES:
        return ""
    return f"{samples} samples observed, per-unit verdicts need {ENOUGH_SAMPLES}; give more data"


def _card(seen: Observations, subject: Subject) -> ModelCard:
    facts, predictions = seen.facts, seen.whole(Predictions)
    return ModelCard(
        name=facts.model,
        form=subject.form,
        digest=subject.digest,
        mode=facts.mode,
        parameters=sum(subject.tensors[n].numel() for n, i in seen.tensors.items() if not i.buffer),
        data=facts.data or (subject.samples.name if subject.samples else ""),
        samples=facts.samples,
        task=facts.task,
        loss=facts.loss,
        phase=facts.phase,
        accuracy=predictions.accuracy if predictions and facts.classes and facts.labeled else None,
        mean_loss=predictions.mean_loss if predictions and facts.labeled else None,
        notes=subject.notes,
    )
