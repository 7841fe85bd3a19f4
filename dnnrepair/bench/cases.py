"""The planted-fault matrix: reference networks, healthy and harmed, and what a diagnosis says."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from dnnrepair.finding import Severity
    from dnnrepair.models.reference import Reference
    from dnnrepair.program import Program
    from dnnrepair.subject import Subject

HEALTHY, LOOKALIKE, FAULT = "healthy", "look-alike", "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One network to diagnose.

    Attributes:
        network: name of the reference network.
        seed: of its training and of the planting.
        kind: HEALTHY, LOOKALIKE or FAULT.
        change: name of the fault or look-alike, "trained" or "init" for a healthy network.
        strength: of a fault, else "".
        codes: rules of which at least one must speak.
        may: rules that may speak besides.
        spec: what :func:`dnnrepair.models.build` makes it from.
    """

    network: str
    seed: int
    kind: str
    change: str
    spec: str
    strength: str = ""
    codes: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the diagnosis of a case said.

    Attributes:
        case: which network.
        roots: code and severity of each root finding.
        consequences: of each finding that follows from a root.
        skipped: codes of the rules that could not run.
        seconds: wall clock of the diagnosis, loading excluded.
        error: why there is no diagnosis, "" if there is.
    """

    case: Case
    roots: tuple[tuple[str, Severity], ...] = ()
    consequences: tuple[tuple[str, Severity], ...] = ()
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""

    @property
    def found(self) -> bool:
        """Whether a rule that must speak did, as a root or as a consequence."""
        said = {code for code, _ in (*self.roots, *self.consequences)}
        return bool(said & self.case.codes)

    def alarms(self, least: Severity) -> tuple[str, ...]:
        """Return the codes of root findings at least this severe."""
        return tuple(code for code, severity in self.roots if severity.rank <= least.rank)


def cases_of(
    network: str, seed: int, *, cache: Path | None = None, strengths: Sequence[str] | None = None
) -> Iterator[Case]:
    """Yield the healthy, look-alike and faulty versions of one trained network.

    Args:
        network: name of the reference network.
        seed: of its training and of the planting.
        cache: folder of trained weights.
        strengths: of the faults, all by default.
    """
    from dnnrepair.models import build
    from dnnrepair.models.faults import Strength
    from dnnrepair.models.faults import faults as known_faults
    from dnnrepair.models.lookalikes import lookalikes

    plain = partial(Case, network=network, seed=seed)
    for change, spec in (("trained", network), ("init", f"{network}:init")):
        yield plain(kind=HEALTHY, change=change, spec=spec)
    reference = build(network, seed=seed, cache=cache)
    for name in lookalikes:
        if lookalikes[name].applies(reference):
            yield plain(kind=LOOKALIKE, change=name, spec=f"{network}+look:{name}")
    for name in known_faults:
        fault = known_faults[name]
        if not fault.applies(reference):
            continue
        for strength in strengths or tuple(Strength) if fault.graded else (Strength.STRONG,):
            yield plain(
                kind=FAULT,
                change=name,
                strength=str(strength),
                spec=f"{network}+{name}@{strength}",
                codes=fault.codes,
                may=fault.may,
            )


class Trials:
    """Diagnoses cases of one network; exports graphs that differ only in tensors once."""

    def __init__(self, cache: Path | None) -> None:
        """Keep trained weights in ``cache``."""
        from dnnrepair.selection import choose_rules

        self.cache = cache
        self.rules = choose_rules((), (), {})
        self._programs: dict[tuple[object, ...], Program] = {}

    def run(self, case: Case) -> Outcome:
        """Return what the diagnosis of one case says."""
        from dnnrepair.diagnose import diagnose
        from dnnrepair.models import build

        try:
            reference = build(case.spec, seed=case.seed, cache=self.cache)
            start = perf_counter()
            report = diagnose(self._subject(reference), self.rules, seed=0)
        except Exception as error:  # noqa: BLE001 - one failure must not lose the others
            return Outcome(case=case, error=f"{type(error).__name__}: {error}")
        return Outcome(
            case=case,
            roots=tuple((f.code, f.severity) for f in report.findings),
            consequences=tuple(
                (c.code, c.severity) for f in report.findings for c in f.consequences
            ),
            skipped=tuple(skip.code for skip in report.skipped),
            seconds=perf_counter() - start,
        )

    def _subject(self, reference: Reference) -> Subject:
        from dnnrepair.export import from_module
        from dnnrepair.subject import subject_of_reference

        key = _structure(reference.module)
        program = self._programs.get(key)
        if program is None:
            program, _ = from_module(reference.module, [x[:4] for x in reference.inputs])
            self._programs[key] = program
        return subject_of_reference(reference, program)


def _structure(module: nn.Module) -> tuple[object, ...]:
    """Return what two modules share whose graphs differ only in their tensors."""
    simple = (bool, int, float, str)
    parts = tuple(
        (name, type(part), tuple((k, v) for k, v in vars(part).items() if isinstance(v, simple)))
        for name, part in module.named_modules()
    )
    asks = tuple((name, p.requires_grad, tuple(p.shape)) for name, p in module.named_parameters())
    return parts, asks


def run_cases(
    networks: Sequence[str],
    seeds: Sequence[int],
    *,
    cache: Path | None,
    workers: int = 2,
    strengths: Sequence[str] | None = None,
) -> Iterator[list[Outcome]]:
    """Diagnose the matrix in ``workers`` processes; yield the outcomes per network and seed."""
    jobs = [(network, seed) for network in networks for seed in seeds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_run_job, *job, cache, strengths) for job in jobs]
        for done in as_completed(waiting):
            yield done.result()


def _run_job(
    network: str, seed: int, cache: Path | None, strengths: Sequence[str] | None
) -> list[Outcome]:
    import torch

    torch.set_num_threads(1)
    trials = Trials(cache)
    return [trials.run(case) for case in cases_of(network, seed, cache=cache, strengths=strengths)]
