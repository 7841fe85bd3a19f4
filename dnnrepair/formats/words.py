"""What all formats share: marks, numbers in words, the verdict, and text that cannot do harm."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, TypeVar
from unicodedata import category

from dnnrepair.finding import Remedy, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dnnrepair.finding import Finding, Skip
    from dnnrepair.patch_report import PatchReport
    from dnnrepair.report import LayerHealth, Report

T = TypeVar("T")

SYMBOLS = {"healthy": "✔", "note": "●", "warning": "▲", "error": "✖", "unexamined": "·"}
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # also turns text around, or ends lines
_NONCHARACTER = 0xFFFE
_MOST_RANGES = 8


def _visible(character: str) -> str:
    hidden = category(character) in _INVISIBLE or ord(character) & _NONCHARACTER == _NONCHARACTER
    return ascii(character)[1:-1] if hidden else character


def clean(text: str) -> str:
    r"""Return one line of text, what is invisible written as an escape such as ``\x1b``.

    Names come from files nobody checked; raw, they could move a terminal's cursor or reverse
    the reading direction.

    >>> clean("fc\x1b[2J\n1")
    'fc\\x1b[2J 1'
    """
    flat = text.replace("\r", " ").replace("\n", " ").replace("\t", " ")
    return flat if flat.isascii() and flat.isprintable() else "".join(map(_visible, flat))


def clean_lines(text: str) -> str:
    """Return text of several lines, each as by :func:`clean`."""
    return "\n".join(clean(line) for line in text.replace("\t", "    ").split("\n"))


def cleaned(value: T) -> T:
    """Return a copy of a report or part of it with every string cleaned."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return clean(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(map(cleaned, value))  # type: ignore[return-value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {field.name: cleaned(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Remedy):
        changed["code"] = clean_lines(value.code)
    return replace(value, **changed)


def state(layer: LayerHealth) -> str:
    """Return a layer's state, a key of :data:`SYMBOLS`."""
    if layer.mark:
        return layer.mark.value
    return "healthy" if layer.examined else "unexamined"


def amount(value: float | None, unit: str = "1") -> str:
    """Return a number with its unit.

    >>> amount(0.4321, "share"), amount(12345.6), amount(3, "steps"), amount(None)
    ('43.2 %', '1.23e+04', '3 steps', '-')
    """
    if value is None:
        return "-"
    if unit == "share" and isfinite(value):
        return f"{100 * value:.3g} %"
    return f"{value:.3g}" if unit in ("1", "", "share") else f"{value:.3g} {unit}"


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of consecutive numbers."""
    first = last = None
    for number in sorted(set(numbers)):
        if first is None or last is None or number != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


def dimensions(shape: tuple[int, ...]) -> str:
    """Return a shape in words, such as 16 by 8 by 8 with crosses between."""
    return "\N{MULTIPLICATION SIGN}".join(map(str, shape))


def abbreviated(units: tuple[int, ...]) -> str:
    """Return unit numbers in short.

    >>> abbreviated((3, 7, 8, 9))
    '3, 7-9'
    >>> abbreviated(tuple(range(0, 40, 2)))
    '0, 2, 4, 6, 8, 10, 12, 14, … 20 in all'
    """
    ranges = list(_ranges(units))
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in ranges[:_MOST_RANGES]]
    if len(ranges) > _MOST_RANGES:
        parts.append(f"… {len(units)} in all")
    return ", ".join(parts)


def walk(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, each followed by what follows from it."""
    for finding in findings:
        yield finding
        yield from walk(finding.consequences)


def counted(number: int, noun: str) -> str:
    """Return ``1 error`` or ``2 errors``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def place(finding: Finding) -> str:
    """Return where a finding is: layer and source line."""
    layer = finding.layer or "whole network"
    return f"{layer} ({finding.where})" if finding.where else layer


def source_line(where: str | None) -> tuple[str, int] | None:
    """Split ``file:line``, None if it is not of that form."""
    file, _, line = (where or "").rpartition(":")
    usable = file and line.isascii() and line.isdecimal() and len(line) < 10  # noqa: PLR2004
    return (file, int(line)) if usable and int(line) > 0 else None


def tally(report: Report) -> str:
    """Return how many findings of which severity, such as ``1 error, 2 notes``."""
    counts = [(report.count(severity), severity.value) for severity in Severity]
    return ", ".join(counted(number, noun) for number, noun in counts if number) or "no findings"


def verdict(report: Report) -> str:
    """Return the outcome in one sentence."""
    if report.interrupted:
        return f"Interrupted: this report is partial ({tally(report)})."
    worst = report.worst()
    if worst is Severity.ERROR:
        return f"This network is broken: {tally(report)}."
    if worst is Severity.WARNING:
        return f"This network has weaknesses: {tally(report)}."
    if report.inconclusive:
        return f"Inconclusive: {report.inconclusive.rstrip('.')}."
    return f"No fault was found{f': {tally(report)}' if report.findings else ''}."


def coverage(report: Report) -> str:
    """Return how much was checked, so that silence cannot look like health."""
    unexamined = sum(not layer.examined for layer in report.layers)
    parts = [
        f"{counted(len(report.checked), 'rule')} checked {counted(len(report.layers), 'layer')}",
        f"{counted(len(report.skipped), 'check')} skipped" if report.skipped else "",
        f"{counted(unexamined, 'layer')} not examined" if unexamined else "",
        f"{report.suppressed:,} known from the baseline" if report.suppressed else "",
    ]
    return "; ".join(part for part in parts if part)


def reasons(skipped: Iterable[Skip]) -> list[tuple[str, list[str]]]:
    """Group skipped checks by reason, each with the codes (and how many places) concerned."""
    by_reason: dict[str, Counter[str]] = {}
    for skip in skipped:
        by_reason.setdefault(skip.reason, Counter())[skip.code] += 1
    return [
        (reason, [f"{code} ({n} places)" if n > 1 else code for code, n in sorted(codes.items())])
        for reason, codes in by_reason.items()
    ]


def facts(report: Report | PatchReport) -> list[tuple[str, str]]:
    """Return the model card as pairs of name and value, unknown ones left out."""
    model = report.model
    known = [
        ("Model", model.name),
        ("Form", f"{model.form}, observed as {model.mode}"),
        ("Parameters", f"{model.parameters:,}"),
        ("Data", model.data),
        ("Samples", f"{model.samples:,}" if model.samples else "none"),
        ("Task", ", ".join(part for part in (model.task, model.loss) if part)),
        ("Phase", model.phase),
        ("Accuracy", "" if model.accuracy is None else amount(model.accuracy, "share")),
        ("Mean loss", "" if model.mean_loss is None else amount(model.mean_loss)),
        ("Digest", model.digest),
    ]
    return [(name, value) for name, value in known if value]
