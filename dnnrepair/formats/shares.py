"""Shares, their intervals and changes in words."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnnrepair.rate import Rate
    from dnnrepair.verdict import Interval

_LARGE = 100.0  # cost, of which no decimals are shown
_FEW, _MOST, _TINY = 10.0, 99.0, 0.01  # percent


def percent(share: float) -> str:
    """Return a share in percent without the sign, finer near both ends; never a false 0 or 100.

    >>> percent(0.6719), percent(0.0088), percent(0.00002), percent(0.99995), percent(1.0)
    ('67.2', '0.88', '0.002', '99.995', '100')
    """
    value = 100 * share
    if not isfinite(value):
        return "-"
    if value in (0.0, 100.0):
        return f"{value:.0f}"
    if 0 < value < _TINY:
        return f"{value:.1g}"
    if 100 - _TINY < value < 100:  # noqa: PLR2004
        return f"{value:.3f}" if value < 99.9995 else "above 99.999"  # noqa: PLR2004
    return f"{value:.1f}" if _FEW <= value <= _MOST else f"{value:.2f}"


def points(change: float) -> str:
    """Return a change of a share in percentage points, with its sign.

    >>> points(0.00312), points(-0.123), points(0.0), points(float("nan"))
    ('+0.31', '-12.3', '0', '-')
    """
    value = 100 * change
    if not isfinite(value):
        return "-"
    if not value:
        return "0"
    if abs(value) < _TINY:
        return f"{value:+.1g}"
    return f"{value:+.2f}" if abs(value) < _FEW else f"{value:+.1f}"


def price(cost: float) -> str:
    """Return what errors cost, summed.

    >>> price(1147.6), price(12.5), price(float("nan"))
    ('1,148', '12.5', '-')
    """
    if not isfinite(cost):
        return "-"
    return f"{cost:,.0f}" if abs(cost) >= _LARGE else f"{cost:.3g}"


def tried(rate: Rate) -> str:
    """Return ``43 of 64``."""
    return f"{rate.hits:,} of {rate.tries:,}"


def share(rate: Rate) -> str:
    """Return the share with its sign, ``-`` if nothing was tried."""
    return f"{percent(rate.value)} %" if rate.tries else "-"


def span(rate: Rate) -> str:
    """Return the 95 % interval of a share, "" if nothing was tried."""
    if not rate.tries:
        return ""
    low, high = rate.interval()
    return f"{percent(low)} to {percent(high)} %"


def reach(gain: Interval) -> str:
    """Return the ends of a change's interval, "" if there are none."""
    if not (isfinite(gain.low) and isfinite(gain.high)):
        return ""
    return f"{points(gain.low)} to {points(gain.high)}"
