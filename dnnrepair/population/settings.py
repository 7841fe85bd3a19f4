"""How a population is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - a field's type
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError
from dnnrepair.kernels.launch import PRECISIONS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSettings:
    """How a population is evaluated; no verdict depends on any of this, and no fitness on chunks.

    With blocks of another size libraries add products up in another order, and a fitness may
    differ in its last bits, as it may when compiled or fused.

    Attributes:
        block: inputs at a time; None to choose by the size of what varies.
        chunk: candidates at a time; None to choose likewise.
        working_set: bytes that the largest varying value of a chunk may take, where block and
            chunk are chosen; None for what stays in a core's cache, more on other devices.
        memory: bytes of recorded activations to keep in memory; more are kept on disk.
        cache_dir: where those go; None for the system's folder for temporary files.
        box: lower and upper bounds of the values, ``(k,)`` each: inputs that are certified to be
            right whatever the values within are dropped. None to drop none.
        halvings: how often the box is cut for that, at least 0: certifies more, takes longer.
        abandon: stop evaluating candidates that can no longer reach the threshold given with them.
        fused: use the fused kernels: True wherever the suffix is one they know (in plain torch
            without CUDA), False never, None where they run fused.
        precision: of the fused products behind a convolution: "ieee" is float32; "tf32", "tf32x3"
            and "bf16" are for a screen (:func:`dnnrepair.kernels.screened`), the survivors of
            which another evaluator scores in float32.
        compiled: backend of ``torch.compile``, such as "inductor"; "" to interpret. Compiling takes
            up to a minute, and pays for long searches only.
    """

    block: int | None = None
    chunk: int | None = None
    working_set: int | None = None
    memory: int = 8 << 30
    cache_dir: Path | None = None
    box: tuple[Tensor, Tensor] | None = None
    halvings: int = 0
    abandon: bool = True
    fused: bool | None = None
    precision: str = "ieee"
    compiled: str = ""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            SettingError: if one is not positive.
        """
        for name in ("block", "chunk", "working_set"):
            value = getattr(self, name)
            if value is not None and value < 1:
                message = f"{name} is {value}; it must be at least 1"
                raise SettingError(message)
        if self.precision not in PRECISIONS:
            message = f"no precision {self.precision!r}; known: {', '.join(PRECISIONS)}"
            raise SettingError(message)
