"""Activations as JSON; what has no bound is null."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from dnnrepair.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.activation_sheet import ActivationSheet

SCHEMA_VERSION = 1


def table(sheets: Sequence[ActivationSheet]) -> str:
    """Return all of them, without their curves."""
    stored = [{**asdict(sheet), "curve": []} for sheet in sheets]
    return _written({"activations": stored})


def render(sheet: ActivationSheet) -> str:
    """Return one of them."""
    return _written(asdict(sheet))


def _written(value: dict[str, object]) -> str:
    return json.dumps(plain({"schema_version": SCHEMA_VERSION, **value}), indent=2) + "\n"
