"""How weights are drawn: rules by name, each with the fans of every kind of layer.

What other parts use: :func:`find`, :func:`matching`, :func:`initialize`, :func:`fans_of`,
:func:`lsuv` and :func:`standardized`.
"""

from __future__ import annotations

from dnnrepair.initializers.calibrating import Calibrated, lsuv, standardized
from dnnrepair.initializers.fans import Fans, fans_of, weights_of
from dnnrepair.initializers.initializer import (
    Initializer,
    Matching,
    find,
    initialize,
    initializers,
    matching,
)

__all__ = [
    "Calibrated",
    "Fans",
    "Initializer",
    "Matching",
    "fans_of",
    "find",
    "initialize",
    "initializers",
    "lsuv",
    "matching",
    "standardized",
    "weights_of",
]
