"""How a network's refusal of its input is told: what it was given, why not, and what to check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.errors import DataError
from dnnrepair.loading.quiet import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def refusal(what: str, error: BaseException) -> DataError:
    """Return the error that says why the network does not accept ``what``."""
    return DataError(
        f"the network does not accept {what}: {first_line(error)}; "
        "check the data's shape and type (--layout, --scale, --input-shape)"
    )


def this_input(inputs: Sequence[Tensor]) -> str:
    """Return the words for some inputs: their shapes and types."""
    given = (f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in inputs)
    return f"this input ({', '.join(given)})"
