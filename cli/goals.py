"""From the options of a command to what is to be fixed, and what must not break."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import SettingError

if TYPE_CHECKING:
    from dnnrepair.goal import Goal


def goal_of(given: dict[str, Any]) -> Goal:
    """Return what the options of :func:`~dnnrepair.cli.options.goal_options` ask for.

    Of :func:`~dnnrepair.cli.options.fix_options` too: what these lack is left at its default.

    Raises:
        SettingError: if a file cannot be read, or the options contradict each other.
    """
    from dnnrepair.goal import Goal, read_indices
    from dnnrepair.risk import Risk

    kinds, protected = _protect(given.get("protect") or ("all",))
    chosen, risk, tolerance = given["fix_indices"], given.get("risk"), given["tolerance"]
    return Goal(
        fix=given["fix"] or ("top",),
        fix_indices=None if chosen is None else read_indices(chosen),
        protect=kinds,
        protect_indices=None if protected is None else read_indices(protected),
        max_broken=given.get("max_broken"),
        risk=Risk() if risk is None else Risk.read(risk),
        tolerance=1.0 if tolerance is None else tolerance,
    )


def files_of(given: dict[str, Any]) -> list[Path]:
    """Return the files that the options name; they must stay as they are."""
    _, protected = _protect(given.get("protect") or ())
    return [p for p in (given.get("fix_indices"), protected, given.get("risk")) if p is not None]


def _protect(given: tuple[str, ...]) -> tuple[tuple[str, ...], Path | None]:
    """Tell classes from a file."""
    files = [text for text in given if not _kinds(text)]
    if len(files) > 1 or (files and len(given) > 1):
        message = f"--protect {' and '.join(given)}: give either classes or one file of indices"
        raise SettingError(message)
    if files:
        return ("all",), Path(files[0])
    return tuple(kind for text in given for kind in _kinds(text)), None


def _kinds(text: str) -> tuple[str, ...]:
    """Return the classes in ``all`` or ``6,8``; none if it is something else."""
    parts = tuple(part.strip() for part in text.split(","))
    return parts if all(part == "all" or part.isdecimal() for part in parts) else ()
