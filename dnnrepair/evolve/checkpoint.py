"""A search on disk, from which it goes on as if nothing had happened."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, is_dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dnnrepair.errors import DnnRepairError
from dnnrepair.files import write_bytes_whole

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from dnnrepair.evolve.state import State
    from dnnrepair.evolve.strategy import Strategy

_SCHEMA = 1
_KEY = "dnnrepair.evolve"
_FOREIGN = "is no checkpoint of such a search"


class CheckpointError(DnnRepairError):
    """A checkpoint cannot be read, or is of another search."""

    def __init__(self, path: Path, fault: str) -> None:
        """Say what is wrong with the file."""
        super().__init__(f"{path} {fault}; name another file, or delete it to start anew")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a search is kept, a safetensors file.

    Attributes:
        path: of the file; it is replaced whole, or not at all.
        problem: a digest of whatever decides the fitness, such as model, places, data and alpha.
    """

    path: Path
    problem: str

    def write(self, strategy: Strategy, state: State) -> None:
        """Write the state.

        Raises:
            OutputError: if the file cannot be written; what stood there before still does.
        """
        tensors = {name: x.detach().cpu().contiguous() for name, x in state.tensors().items()}
        metadata = {_KEY: json.dumps(self._identity(strategy, state))}
        write_bytes_whole(self.path, save(tensors, metadata))

    def read(self, strategy: Strategy, fresh: State) -> State:
        """Return the state that was written, given what ``strategy.init`` makes of the same seeds.

        Raises:
            CheckpointError: if the file is damaged, foreign or of another search.
        """
        metadata, tensors = self._load()
        try:
            found = json.loads(metadata[_KEY])
        except (KeyError, ValueError) as error:
            raise CheckpointError(self.path, _FOREIGN) from error
        self._compare(found, self._identity(strategy, fresh))
        device = fresh.population.device
        held = {name: tensor.to(device) for name, tensor in tensors.items()}
        if {n: (x.shape, x.dtype) for n, x in held.items()} != {
            n: (x.shape, x.dtype) for n, x in fresh.tensors().items()
        }:
            raise CheckpointError(self.path, _FOREIGN)
        return fresh.holding(held, strategy.drawing(fresh))

    def remove(self) -> None:
        """Delete the file, if there is one: the search is over, and what it found is kept."""
        self.path.unlink(missing_ok=True)

    def _load(self) -> tuple[dict[str, str], dict[str, Tensor]]:
        try:
            with safe_open(self.path, framework="pt") as file:
                names = list(file.keys())
                return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            fault = f"cannot be read ({error})"
            raise CheckpointError(self.path, fault) from error

    def _compare(self, found: object, wanted: dict[str, Any]) -> None:
        if not isinstance(found, dict):
            raise CheckpointError(self.path, _FOREIGN)
        for name, value in wanted.items():
            if found.get(name) != value:
                fault = f"is of another search: its {name} is {found.get(name)}, here it is {value}"
                raise CheckpointError(self.path, fault)

    def _identity(self, strategy: Strategy, state: State) -> dict[str, Any]:
        """Return what must agree, as JSON would give it back."""
        identity = {
            "schema": _SCHEMA,
            "strategy": strategy.name,
            "settings": asdict(strategy) if is_dataclass(strategy) else {},
            "problem": self.problem,
            "seeds": state.seeds.tolist(),
            "shape": list(state.population.shape),
            "type": str(state.population.dtype).removeprefix("torch."),
            "box": _digest(state.box.low, state.box.high),
        }
        checked: dict[str, Any] = json.loads(json.dumps(identity))
        return checked


def _digest(*tensors: Tensor) -> str:
    found = sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
