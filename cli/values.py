"""From the text of an option to its value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def names(
    _ctx: click.Context, _option: click.Parameter, value: str | Sequence[str] | None
) -> tuple[str, ...]:
    """Return the names in ``a,b``; of all texts where the option was given several times."""
    texts = (value,) if isinstance(value, str) else value or ()
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def named_texts(
    ctx: click.Context, option: click.Parameter, value: Sequence[str] | None
) -> dict[str, str]:
    """Return texts by name from ``a=b`` and ``c=d``, or from ``a=b,c=d``."""
    found = {}
    for text in names(ctx, option, value):
        name, sign, rest = (part.strip() for part in text.partition("="))
        if not (name and sign and rest):
            message = f"{text!r} is not of the form column=value"
            raise click.BadParameter(message, ctx, option)
        found[name] = rest
    return found


def named_numbers(
    ctx: click.Context, option: click.Parameter, value: Sequence[str] | None
) -> dict[str, tuple[float, ...]]:
    """Return rising numbers by name from ``age=25,60``."""
    found = {}
    for text in value or ():
        name, _, rest = (part.strip() for part in text.partition("="))
        try:
            limits = tuple(_number(part) for part in rest.split(","))
        except (ValueError, ZeroDivisionError):
            limits = ()
        if not name or not limits or list(limits) != sorted(set(limits)):
            message = f"{text!r} is not a column with rising numbers such as age=25,60"
            raise click.BadParameter(message, ctx, option)
        found[name] = limits
    return found


def number(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Return the number in ``0.5`` or ``1/255``."""
    if value is None:
        return None
    try:
        return _number(str(value))
    except (ValueError, ZeroDivisionError) as error:
        message = f"{value!r} is not a finite number such as 0.5 or 1/255"
        raise click.BadParameter(message, ctx, option) from error


def numbers(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...]:
    """Return the numbers in ``0.5,1/4``."""
    if value is None:
        return ()
    try:
        return tuple(_number(part) for part in str(value).split(","))
    except (ValueError, ZeroDivisionError) as error:
        message = f"{value!r} is not a list of finite numbers such as 0.5,1/4"
        raise click.BadParameter(message, ctx, option) from error


def share(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Return the share, 0 to 1, in ``0.5%`` or ``0.005``."""
    if value is None:
        return None
    text = str(value).strip()
    try:
        found = _number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        found = math.nan
    if not 0 <= found <= 1:
        message = f"{value!r} is not a share such as 0.5% or 0.005"
        raise click.BadParameter(message, ctx, option)
    return found


def shape(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Return the numbers in ``3,32,32`` or ``3x32x32``."""
    if value is None:
        return None
    parts = [part.strip() for part in str(value).replace("x", ",").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        message = f"{value!r} is not a shape such as 3,32,32"
        raise click.BadParameter(message, ctx, option)
    return tuple(map(int, parts))


def _number(text: str) -> float:
    over, slash, under = text.partition("/")
    value = float(over) / float(under) if slash else float(over)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
