"""Changes of a network's structure, put in order for all formats."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from dnnrepair.formats.document import Column, Document, Figure, Row, Section, Table
from dnnrepair.formats.shares import percent, points, share, span, tried
from dnnrepair.formats.words import counted
from dnnrepair.swap_report import Promise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.swap_report import Difference, OutOfRange, Swap, SwapReport

_STATES = {Promise.EXACT: "healthy", Promise.CLOSEST: "note", Promise.CHANGES: "warning"}
_LEGEND = (
    ("healthy", "no output changes"),
    ("note", "nearest on the data"),
    ("warning", "changes outputs"),
)
_COLUMNS = (
    Column(name="operation", number=False),
    Column(name="layers"),
    Column(name="units"),
    Column(name="largest change"),
    Column(name="same answer %"),
    Column(name="before", group="accuracy %"),
    Column(name="after", group="accuracy %"),
)
_OUTSIDE = (("healthy", "nothing outside"), ("warning", "some outside"))
_RANGES = (
    Column(name="layer", number=False),
    Column(name="range"),
    Column(name="values outside %"),
    Column(name="inputs with such"),
)
_LISTED = 6  # layers named in a sentence
_ROUNDING = 1e-5  # relative change that an exact operation may make


def document(report: SwapReport) -> Document:
    """Return what there is to say of changes, in order."""
    return Document(
        title=report.model.name,
        state=_state(report),
        headline=_headline(report),
        goal=tuple(_goal(report)),
        verdict=tuple(_sentences(report)),
        figures=tuple(_figures(report.overall)) if report.overall else (),
        sections=tuple(_sections(report)),
    )


def _state(report: SwapReport) -> str:
    order = list(_STATES.values())
    return max((_STATES[swap.promise] for swap in report.swaps), key=order.index)


def _headline(report: SwapReport) -> str:
    kinds = {swap.promise for swap in report.swaps}
    done = counted(len(report.swaps), "change")
    if kinds == {Promise.EXACT}:
        return f"{done}, and no output changed"
    if Promise.CHANGES not in kinds:
        return f"{done}, outputs kept as nearly as possible"
    return f"{done}, outputs changed"


def _goal(report: SwapReport) -> Iterator[tuple[str, str]]:
    model = report.model
    yield "Network", f"{model.name} on {model.data}" if model.data else model.name
    yield "Form", f"{model.form}, {model.parameters:,} parameters"
    if report.files:
        yield "Written", f"{', '.join(report.files)} ({report.form})"


def _sentences(report: SwapReport) -> Iterator[str]:
    for swap in report.swaps:
        reason = f" ({swap.reason})" if swap.reason else ""
        yield f"{swap.operation}: {swap.summary}{reason}."
    if report.overall is not None:
        yield _together(report.overall)
    if report.ranges:
        yield _outside(report.ranges)
    if not report.files:
        yield "Nothing was written."


def _together(found: Difference) -> str:
    text = f"All together, on {counted(found.samples, 'input')} ({found.inputs})"
    told = _ROUNDING < found.relative < inf  # how rounding is spread tells nobody anything
    mean = f" ({found.typical:.2g} in the mean)" if told else ""
    parts = [f"outputs differ by at most {_relative(found)} of the largest{mean}"]
    if found.agreement is not None:
        parts.append(f"{tried(found.agreement)} answers are the same")
    if found.before is not None and found.after is not None:
        change = points(found.after.value - found.before.value)
        parts.append(f"accuracy {share(found.before)} → {share(found.after)} ({change} points)")
    return f"{text}: {'; '.join(parts)}."


def _outside(ranges: tuple[OutOfRange, ...]) -> str:
    """Return where polynomials read what they were not made for; there they explode."""
    layers = [found.layer for found in ranges if found.values.hits]
    worst = max(ranges, key=lambda found: found.values.value)
    if not layers:
        return f"Of what polynomials read, nothing lies outside of their ranges ({_tries(worst)})."
    return (
        f"Of what polynomials read, up to {percent(worst.values.value)} % lies outside of their "
        f"ranges, in {counted(len(layers), 'layer')} of {len(ranges)} ({_tries(worst)}); there "
        "they explode."
    )


def _tries(found: OutOfRange) -> str:
    return counted(found.inputs.tries, "input")


def _relative(found: Difference) -> str:
    return f"{found.relative:.2g}" if isfinite(found.relative) else "more than can be measured"


def _figures(found: Difference) -> Iterator[Figure]:
    yield Figure(
        name="Largest change, of the largest output",
        count=counted(found.samples, "input"),
        value=_relative(found),
    )
    rates = (
        ("Same answers", found.agreement),
        ("Accuracy, before", found.before),
        ("Accuracy, after", found.after),
    )
    for name, rate in rates:
        if rate is not None:
            yield Figure(name=name, count=tried(rate), value=share(rate), interval=span(rate))
    losses = (("Mean loss, before", found.loss_before), ("Mean loss, after", found.loss_after))
    for name, loss in losses:
        if loss is not None:
            count = counted(found.samples, "input")
            yield Figure(name=name, count=count, value=f"{loss:.4g}")


def _sections(report: SwapReport) -> Iterator[Section]:
    yield Section(
        title="Changes",
        lead="In order; each was measured against the network right before it, on the data that "
        "it could look at.",
        table=Table(columns=_COLUMNS, rows=tuple(map(_row, report.swaps)), legend=_LEGEND),
        items=tuple(_places(report)),
    )
    if report.ranges:
        yield Section(
            title="Ranges of polynomials",
            lead="Counted right after each change, on the data that judge.",
            table=Table(columns=_RANGES, rows=tuple(map(_range, report.ranges)), legend=_OUTSIDE),
        )
    if report.skipped:
        yield Section(title="Not done", items=report.skipped)
    if report.files and report.structural:
        yield Section(title="Loading it again", items=tuple(_loading(report)))
    if report.notes:
        yield Section(title="Notes", items=tuple(dict.fromkeys(report.notes)))
    known = [f"digest of the network as it was: {report.model.digest}", f"seed {report.seed}"]
    settings = [f"{s.operation}: {setting}" for s in report.swaps for setting in s.settings]
    yield Section(title="Run", items=(*known, *dict.fromkeys(settings)))


def _row(swap: Swap) -> Row:
    found = swap.difference
    rates = (found.agreement, found.before, found.after) if found else (None, None, None)
    cells = (
        swap.operation,
        f"{len(swap.layers):,}",
        f"{swap.units:,}" if swap.units else "",
        _relative(found) if found else "",
        *("" if rate is None else percent(rate.value) for rate in rates),
    )
    return Row(cells=cells, state=_STATES[swap.promise])


def _range(found: OutOfRange) -> Row:
    cells = (
        found.layer,
        f"{found.low:.3g} to {found.high:.3g}",
        percent(found.values.value),
        tried(found.inputs),
    )
    return Row(cells=cells, state="warning" if found.values.hits else "healthy")


def _places(report: SwapReport) -> Iterator[str]:
    for swap in report.swaps:
        if len(swap.layers) > _LISTED:
            yield f"{swap.operation} in {', '.join(swap.layers)}"


def _loading(report: SwapReport) -> Iterator[str]:
    file = report.files[0]
    if file.endswith(".pt2"):
        yield f"torch.export.load({file!r}).module()"
        return
    name = report.files[-1].replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    yield f"from {name} import Net; net = Net()"
    if file.endswith(".safetensors"):
        yield f"net.load_state_dict(safetensors.torch.load_file({file!r})); net.eval()"
    else:
        yield f"net.load_state_dict(torch.load({file!r}, weights_only=True)); net.eval()"
