"""A training on disk, from which it goes on as if nothing had happened."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from dnnrepair.bits import digest
from dnnrepair.files import write_bytes_whole
from dnnrepair.loading.quiet import first_line
from dnnrepair.recover.recovered import Epoch, RecoveryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.data import ArraySamples

_SCHEMA = 1
_PARTS = ("module", "schedule", "scaler", "generator", "random", "history", "best", "kept")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training is kept between epochs.

    Attributes:
        path: of the file; it is replaced whole, or not at all.
        identity: what must agree for the training to go on, by name.
    """

    path: Path
    identity: Mapping[str, str]

    def write(self, state: Mapping[str, Any]) -> None:
        """Write the state of a training, tensors and plain values by name.

        Raises:
            OutputError: if the file cannot be written; what stood there before still does.
        """
        buffer = io.BytesIO()
        torch.save({"schema": _SCHEMA, "identity": dict(self.identity), **state}, buffer)
        write_bytes_whole(self.path, buffer.getvalue())

    def read(self) -> dict[str, Any] | None:
        """Return the state that was written, None if there is none yet.

        Raises:
            RecoveryError: the file is damaged, foreign, or of another training.
        """
        if not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            fault = f"cannot be read ({first_line(error)})"
            raise self._refusal(fault) from error
        fault = self._fault(found)
        if fault:
            raise self._refusal(fault)
        state: dict[str, Any] = found
        return state

    def remove(self) -> None:
        """Delete the file, if there is one: the training is over, and its result is kept."""
        self.path.unlink(missing_ok=True)

    def _fault(self, found: object) -> str:
        """Return what is wrong with what was read, "" if nothing is."""
        identity = found.get("identity") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(identity, dict):
            return "is no checkpoint of a recovery"
        differing = [n for n, value in self.identity.items() if identity.get(n) != value]
        if differing:
            return f"is of another training: its {differing[0]} differs"
        if "optimizer" not in found:
            return "holds no optimizer state, so training cannot go on exactly"
        return "is incomplete" if any(part not in found for part in _PARTS) else ""

    def _refusal(self, fault: str) -> RecoveryError:
        return RecoveryError(f"{self.path} {fault}; name another file, or delete it to start anew")


def identity_of(
    settings: str, tensors: Mapping[str, Tensor], random: Tensor, *parts: ArraySamples
) -> dict[str, str]:
    """Return what must agree for a training to go on: settings, network, data and seed."""
    data: dict[str, Tensor] = {}
    for place, part in enumerate(parts):
        batch = part.example(part.size)
        data |= {f"{place}.{i}": x for i, x in enumerate(batch.inputs)}
        if batch.targets is not None:
            data[f"{place}.y"] = batch.targets
    return {
        "settings": settings,
        "network": digest(tensors),
        "data": digest(data),
        "seed": digest({"random": random}),
    }


def rows_of(history: list[Epoch]) -> list[dict[str, float]]:
    """Return epochs as plain values."""
    return [asdict(epoch) for epoch in history]


def epochs_of(rows: list[dict[str, Any]]) -> list[Epoch]:
    """Return the epochs that plain values stand for."""
    return [Epoch(**row) for row in rows]
