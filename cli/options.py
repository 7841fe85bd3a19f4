"""Options that several commands share."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import Choice, IntRange, option

from dnnrepair.cli.exits import NEVER
from dnnrepair.cli.output import FORMATS
from dnnrepair.cli.values import names, number, numbers, shape, share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[..., Any]

LOSSES = ("cross_entropy", "nll", "bce", "bce_logits", "mse", "l1", "smooth_l1")
LARGEST_SEED = 2**63 - 1  # that torch takes
_FILE = click.Path(path_type=Path)

debug_option = option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)
seed_option = option(
    "--seed",
    metavar="N",
    type=IntRange(0, LARGEST_SEED),
    default=0,
    help="Of whatever is random. Default: 0.",
)
arch_option = option("--arch", metavar="FACTORY", help="package.module:Factory, for a state dict.")
trust_option = option(
    "--trust-pickle", is_flag=True, help="Unpickle MODEL even if that runs its code."
)
_MODEL = (
    arch_option,
    option("--task", type=Choice(["classify", "regress", "generate"]), help="Default: by labels."),
    option(
        "--loss",
        metavar="NAME",
        type=Choice(LOSSES),
        help=f"That training minimized: {', '.join(LOSSES)}. Default: by output and labels.",
    ),
    trust_option,
    option("--device", metavar="NAME", default="cpu", show_default=True, help="Such as cuda:1."),
    option("--batch-size", metavar="N", type=IntRange(1), default=128, show_default=True),
)
_DATA = (
    option("--data", metavar="DATA", help="A file, a folder or package.module:callable."),
    option("--label", metavar="NAME", help="Column of a table that holds the labels."),
    option("--features", metavar="A,B", callback=names, help="Columns that are the input."),
    option("--scale", metavar="X", callback=number, help="Multiply the input by, such as 1/255."),
    option("--mean", metavar="X,Y", callback=numbers, help="Then subtract per channel."),
    option("--std", metavar="X,Y", callback=numbers, help="Then divide by per channel."),
    option("--layout", type=Choice(["auto", "NCHW", "NHWC"]), default="auto", show_default=True),
    option("--input-shape", metavar="C,H,W", callback=shape, help="Of one sample, without data."),
    option("--probe", type=Choice(["gaussian"]), help="Observe synthetic input of that shape."),
)
_TOLERANCE = option(
    "--tolerance", metavar="X", callback=number, help="By which a value may be off. Default: 1."
)
_FIX = (
    option(
        "--fix",
        metavar="WHAT",
        callback=names,
        multiple=True,
        help="top (most frequent error, the default), all, a class like 6, or 6:0: 6 taken for 0.",
    ),
    option("--fix-indices", metavar="FILE", type=_FILE, help="Of the inputs to fix, instead."),
)
_KEEP = (
    option(
        "--protect",
        metavar="WHAT",
        multiple=True,
        help="What must not break: all (the default), a class like 6, or a file of indices.",
    ),
    option("--max-broken", metavar="SHARE", callback=share, help="That may break, such as 0.5%."),
    option("--risk", metavar="FILE", type=_FILE, help="TOML with what each kind of error costs."),
    _TOLERANCE,
)
_REPORT = (
    option(
        "--fail-on",
        type=Choice(["error", "warning", "note", NEVER]),
        default="error",
        show_default=True,
        help="Least severity that gives exit code 1.",
    ),
    option("--exit-zero", is_flag=True, help="The same as --fail-on never."),
    option("--baseline", metavar="FILE", type=_FILE, help="JSON report whose findings are known."),
    option("--output-format", type=Choice(FORMATS), help="Default: by suffix, else text."),
    option("--output", metavar="FILE", type=_FILE, help="Default: stdout."),
)


def model_options(command: Command) -> Command:
    """Let a command take what is needed to load a network and its data."""
    return with_all((*_DATA, *_MODEL), command)


def fix_options(command: Command) -> Command:
    """Let a command take which errors are meant; see :func:`dnnrepair.cli.goals.goal_of`."""
    return with_all((*_FIX, _TOLERANCE), command)


def goal_options(command: Command) -> Command:
    """Let a command take what is to be fixed and at what price."""
    return with_all((*_FIX, *_KEEP), command)


def report_options(command: Command) -> Command:
    """Let a command take what is needed to judge and to write a report."""
    return with_all(_REPORT, command)


def with_all(decorators: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    """Let a command take all of these options, in their order."""
    return reduce(lambda wrapped, add: add(wrapped), reversed(decorators), command)
