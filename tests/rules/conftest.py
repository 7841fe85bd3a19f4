"""See a small module through the probes alone, without loading, data or phase detection."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dnnrepair.finding import Finding, Skip
from dnnrepair.loss import loss_named
from dnnrepair.observation import Facts, Observations, Phase, Task
from dnnrepair.probe import (
    Batch,
    Call,
    NotMeasuredError,
    Session,
    SessionProbe,
    SiteProbe,
    TensorProbe,
    probes,
)
from dnnrepair.program import GraphProgram, Program

See = Callable[..., Observations]
Say = Callable[[Any, Observations], tuple[list[Finding], list[Skip]]]


@pytest.fixture(scope="session")
def see() -> See:
    """Return ``see(module, inputs, targets, needs, phase)`` -> Observations."""
    return _see


@pytest.fixture(scope="session")
def say() -> Say:
    """Return ``say(rule, seen)`` -> findings and skips."""

    def said(rule: Any, seen: Observations) -> tuple[list[Finding], list[Skip]]:
        found = list(rule.check(seen))
        findings = [one for one in found if isinstance(one, Finding)]
        return findings, [one for one in found if isinstance(one, Skip)]

    return said


def _see(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor | None = None,
    *,
    rule: Any,
    phase: Phase = Phase.TRAINED,
    mask: Tensor | None = None,
) -> Observations:
    program = _program(module, inputs)
    needs = rule.needs | rule.wants
    chosen = [probes[name]() for name in probes if probes[name].yields in needs]
    evidence: dict[type, dict[str, Any]] = {kind: {} for kind in needs}
    missing: dict[type, str] = {}
    batches = _batches(inputs, targets, mask)
    for one in chosen:
        if isinstance(one, TensorProbe):
            for name, value in program.tensors.items():
                found = one.measure_tensor(program.infos[name], value)
                if found is not None:
                    evidence[one.yields][name] = found
    sites = [one for one in chosen if isinstance(one, SiteProbe)]
    for batch in batches:
        _watch(program, batch, sites, evidence)
    facts = Facts(
        phase=phase,
        samples=len(inputs),
        labeled=targets is not None,
        classes=10,
        task=Task.CLASSIFY,
        loss="cross_entropy",
    )
    session = Session(
        program=program,
        batches=batches[:4],
        facts=facts,
        criterion=None if targets is None else loss_named("cross_entropy"),
        trainable=frozenset(),
    )
    for one in chosen:
        if isinstance(one, SessionProbe):
            try:
                evidence[one.yields].update(one.measure_session(session))
            except NotMeasuredError as reason:
                missing[one.yields] = str(reason)
    return Observations(
        sites=program.sites,
        tensors=program.infos,
        facts=facts,
        evidence=evidence,
        missing=missing,
    )


def _program(module: nn.Module, inputs: Tensor) -> Program:
    module.eval()
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch speaks of the flat weights of recurrent modules
        exported = torch.export.export(module, (inputs[:4],), dynamic_shapes=dynamic)
    return cast("Program", GraphProgram.of(exported))


def _batches(inputs: Tensor, targets: Tensor | None, mask: Tensor | None) -> tuple[Batch, ...]:
    return tuple(
        Batch(
            inputs=(inputs[start : start + 128],),
            targets=None if targets is None else targets[start : start + 128],
            mask=None if mask is None else mask[start : start + 128],
            start=start,
        )
        for start in range(0, len(inputs), 128)
    )


def _watch(
    program: Program, batch: Batch, chosen: list[Any], evidence: dict[type, dict[str, Any]]
) -> None:
    def watch(site: Any, arguments: Mapping[str, Any], value: Any) -> None:
        output = value[0] if isinstance(value, tuple | list) else value
        call = Call(site=site, arguments=arguments, output=output, batch=batch)
        for one in chosen:
            if one.watches(site, program.sites):
                found = one.measure(call)
                kept = evidence[one.yields]
                kept[site.name] = kept[site.name] + found if site.name in kept else found

    with torch.no_grad():
        program.run(batch.inputs, watch=watch)


@pytest.fixture(scope="session")
def judged() -> Callable[..., tuple[list[Finding], list[Skip]]]:
    """Return ``judged(rule, module, x, y)`` -> findings and skips, by the whole of observation."""
    return _judged


def _judged(
    rule: Any,
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor | None = None,
    *,
    phase: Phase = Phase.TRAINED,
    task: str | None = None,
    loss: str | None = None,
) -> tuple[list[Finding], list[Skip]]:
    from dnnrepair.observe import observe
    from dnnrepair.progress import silent
    from dnnrepair.subject import subject_of

    data = inputs if targets is None else (inputs, targets)
    subject = subject_of(module.eval(), data, task=task, loss=loss)
    seen = observe(subject, rule.needs | rule.wants, seed=0, batch_size=128, progress=silent)
    seen = replace(seen, facts=replace(seen.facts, phase=phase))
    lacking = rule.needs & set(seen.missing)
    said = [] if lacking else list(rule.check(seen))
    skips = [Skip(code=rule.code, reason=seen.missing[kind]) for kind in lacking]
    skips += [one for one in said if isinstance(one, Skip)]
    return [one for one in said if isinstance(one, Finding)], skips
