"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def names(_ctx: click.Context, _option: click.Parameter, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - text, or texts of an option given several times
    """Return the names in ``a,b``; none without a value."""
    texts = (value,) if isinstance(value, str) else value or ()
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def numbers(
    ctx: click.Context, option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Return the numbers in ``0.5,1/4``; a number may be a fraction."""
    if value is None:
        return None
    try:
        return tuple(_number(part) for part in str(value).split(","))
    except (ValueError, ZeroDivisionError) as error:
        message = f"{value!r} is not a list of finite numbers such as 0.5,1/4"
        raise click.BadParameter(message, ctx, option) from error


def shape(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Return the numbers in ``3,32,32`` or ``3x32x32``."""
    if value is None:
        return None
    parts = [part.strip() for part in str(value).replace("x", ",").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        message = f"{value!r} is not a shape such as 3,32,32"
        raise click.BadParameter(message, ctx, option)
    return tuple(map(int, parts))


def debug_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command show tracebacks; :func:`dnnrepair.cli.main.run` looks for the flag itself."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(command)


def seed_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take the seed of whatever is random in it."""
    return click.option(
        "--seed",
        metavar="N",
        type=click.IntRange(0, 2**63 - 1),
        default=0,
        show_default=True,
        help="Of whatever is random; the same seed gives the same report.",
    )(command)


def _number(text: str) -> float:
    over, slash, under = text.partition("/")
    value = float(over) / float(under) if slash else float(over)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
