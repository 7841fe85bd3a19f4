"""Keep torch's loaders from talking to the user's terminal."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH = 240  # characters of a foreign message that are shown


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and torch's log for a while."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def first_line(error: BaseException) -> str:
    """Return a foreign error's first line, printable and short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "".join(c for c in lines[0] if c.isprintable()) if lines else ""
    return text[:_LENGTH] or type(error).__name__
