"""Values as JSON can say them."""

from __future__ import annotations

from math import isfinite
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Replace what JSON cannot say: NaN and infinity by null, half characters by ``?``."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
