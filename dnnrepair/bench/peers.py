"""The closest existing tools on the same networks: what they find, and what they cry about.

The tools live in an environment of their own, made once::

    python -m venv peers
    peers/bin/pip install torch model-clinic torchmortem torch-audit torchdiag

and are run by ``dnnrepair bench diagnose --peers --peers-python peers/bin/python``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dnnrepair import __version__
from dnnrepair.bench.cases import FAULT, HEALTHY, LOOKALIKE, cases_of
from dnnrepair.bench.peer_process import PeerProcess
from dnnrepair.bench.peer_rules import COVERED, is_alarm
from dnnrepair.bench.result import BenchOptions, Table
from dnnrepair.errors import SettingError
from dnnrepair.finding import Severity
from dnnrepair.progress import Progress, silent
from dnnrepair.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from dnnrepair.bench.cases import Outcome

_SENT = ("module", "inputs", "targets", "loss")
_HOW = (
    "--peers needs --peers-python, the interpreter of an environment with "
    "model-clinic, torchmortem, torch-audit and torchdiag"
)
_COLUMNS = (
    "tool",
    "version",
    "finds its own kind of fault",
    "any alarm on any fault",
    "alarm on healthy",
    "alarm on look-alike",
    "could not run",
)


@dataclass(frozen=True, kw_only=True)
class PeerCase:
    """A network for the tools to judge.

    Attributes:
        name: to show.
        kind: HEALTHY, LOOKALIKE or FAULT.
        module: the network, in evaluation mode.
        inputs: one tensor per input, samples first.
        targets: labels or values; None if there are none.
        loss: that training minimized, "" if a training loop cannot be run.
        codes: our rules for the fault.
    """

    name: str
    kind: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    targets: Tensor | None
    loss: str
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerOutcome:
    """What one tool said of one case.

    Attributes:
        tool: which.
        case: name of the case.
        kind: of the case.
        codes: our rules for its fault.
        rules: names of the tool's rules that raised an alarm.
        error: why the tool could not judge, "" if it could.
    """

    tool: str
    case: str
    kind: str
    codes: frozenset[str]
    rules: frozenset[str] = frozenset()
    error: str = ""

    @property
    def covered(self) -> bool:
        """Whether the tool has a rule for the planted fault."""
        return any(self.codes & codes for codes in COVERED[self.tool].values())

    @property
    def found(self) -> bool:
        """Whether a rule for the planted fault raised an alarm."""
        return any(self.codes & COVERED[self.tool].get(rule, frozenset()) for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTable:
    """What all tools said of all cases.

    Attributes:
        versions: by tool, of those that are installed.
        missing: why the others are not, by tool.
        outcomes: one per tool and case.
    """

    versions: Mapping[str, str]
    missing: Mapping[str, str]
    outcomes: tuple[PeerOutcome, ...] = field(repr=False, default=())

    def table(self) -> Table:
        """Return a row per tool; those that are not installed are listed as such."""
        rows = [(t, v, *map(str, self.rates(t))) for t, v in self.versions.items()]
        gaps = [(t, f"not installed ({why})", *["-"] * 5) for t, why in self.missing.items()]
        return Table("The closest existing tools on the same networks", _COLUMNS, (*rows, *gaps))

    def rates(self, tool: str) -> tuple[Rate, ...]:
        """Return recall of its own kinds, any alarm by kind of case, and failures."""
        own = [o for o in self.outcomes if o.tool == tool]
        by_kind = {kind: [o for o in own if o.kind == kind] for kind in (FAULT, HEALTHY, LOOKALIKE)}
        covered = [o for o in by_kind[FAULT] if o.covered]
        return (
            Rate(sum(o.found for o in covered), len(covered)),
            *(_alarmed(by_kind[kind]) for kind in (FAULT, HEALTHY, LOOKALIKE)),
            Rate(sum(bool(o.error) for o in own), len(own)),
        )


def peer_cases(
    networks: Sequence[str], seeds: Sequence[int], *, cache: Path | None, strengths: Sequence[str]
) -> Iterator[PeerCase]:
    """Yield the networks of the planted-fault matrix, each built when it is asked for."""
    from dnnrepair.models import build

    for network in networks:
        for seed in seeds:
            for case in cases_of(network, seed, strengths=strengths):
                built = build(case.spec, seed=seed, cache=cache)
                yield PeerCase(
                    name=f"{case.spec}, seed {seed}",
                    kind=case.kind,
                    module=built.module,
                    inputs=built.inputs,
                    targets=built.targets,
                    loss=built.loss,
                    codes=case.codes,
                )


def compare(
    options: BenchOptions,
    networks: Sequence[str],
    seeds: Sequence[int],
    ours: Sequence[Outcome] = (),
) -> Table:
    """Return the table for the planted-fault matrix at full strength.

    Args:
        options: with the tools' interpreter.
        networks: by name.
        seeds: of training and planting.
        ours: what our own diagnosis said; of these, the same cases make the first row.

    Raises:
        SettingError: if the tools' interpreter is not given or cannot be used.
    """
    if options.peers_python is None:
        raise SettingError(_HOW)
    cases = peer_cases(networks, seeds, cache=options.cache, strengths=("strong",))
    options.progress.stage("running other tools", None)
    found = run_peers(cases, options.peers_python, options.progress).table()
    same = [
        outcome
        for outcome in ours
        if outcome.case.network in networks
        and outcome.case.seed in seeds
        and outcome.case.strength in ("", "strong")
    ]
    return replace(found, rows=(our_row(same), *found.rows)) if same else found


def our_row(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return what our own diagnosis said, counted in the same way: from a warning upwards."""

    def said(outcome: Outcome) -> set[str]:
        every = (*outcome.roots, *outcome.consequences)
        return {code for code, severity in every if severity.rank <= Severity.WARNING.rank}

    by_kind = {
        kind: [said(o) for o in outcomes if o.case.kind == kind]
        for kind in (FAULT, HEALTHY, LOOKALIKE)
    }
    own = [bool(said(o) & o.case.codes) for o in outcomes if o.case.kind == FAULT]
    rates = (
        Rate(sum(own), len(own)),
        *(Rate(sum(map(bool, by_kind[kind])), len(by_kind[kind])) for kind in by_kind),
        Rate(sum(bool(o.error) for o in outcomes), len(outcomes)),
    )
    return ("dnnrepair", __version__, *map(str, rates))


def run_peers(cases: Iterable[PeerCase], python: Path, progress: Progress = silent) -> PeerTable:
    """Let every tool in another environment judge every case.

    Args:
        cases: the networks, judged one at a time.
        python: interpreter of the environment with the tools.
        progress: is told of every case.

    Raises:
        SettingError: if there is no such interpreter, or it has no torch.
    """
    outcomes: list[PeerOutcome] = []
    with PeerProcess(python) as process:
        for case in cases:
            said = process.judge({name: getattr(case, name) for name in _SENT})
            outcomes.extend(_outcomes(case, said))
            progress.advance(1)
        found = process.tools
    return PeerTable(
        versions={tool: state["version"] for tool, state in found.items() if "version" in state},
        missing={tool: state["missing"] for tool, state in found.items() if "missing" in state},
        outcomes=tuple(outcomes),
    )


def _outcomes(case: PeerCase, said: Mapping[str, Any]) -> Iterator[PeerOutcome]:
    for tool, answer in said.items():
        alarms = (a for a in answer.get("alarms", ()) if is_alarm(tool, a["severity"]))
        yield PeerOutcome(
            tool=tool,
            case=case.name,
            kind=case.kind,
            codes=case.codes,
            rules=frozenset(alarm["rule"] for alarm in alarms),
            error=answer.get("error", ""),
        )


def _alarmed(outcomes: Sequence[PeerOutcome]) -> Rate:
    return Rate(sum(bool(o.rules) for o in outcomes), len(outcomes))
