"""Several processes under ``torchrun``: each sees a share of the samples, the statistics add."""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import DnnRepairError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dnnrepair.sketch import Sketch

    Evidence = dict[type, dict[str, Any]]


@dataclass(frozen=True)
class Shards:
    """This process's place among its peers.

    Attributes:
        rank: of this process, from 0.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> Shards:
        """Return this process's place; alone unless ``torch.distributed`` has been set up."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def join(self, evidence: Evidence, samples: int, sketch: Sketch) -> tuple[Evidence, int]:
        """Return everybody's streamed evidence added up, in rank order, and the number of samples.

        The sketch becomes that of the whole data. Every process ends with the same values.
        """
        if self.world == 1:
            return evidence, samples
        from torch import distributed

        gathered: list[Any] = [None] * self.world
        distributed.all_gather_object(gathered, (evidence, samples, sketch))
        sketch.join(other for rank, (_, _, other) in enumerate(gathered) if rank != self.rank)
        whole: Evidence = {kind: {} for kind in evidence}
        for part, _, _ in gathered:
            for kind, places in part.items():
                for place, value in places.items():
                    known = whole[kind].get(place)
                    streamed = hasattr(value, "__add__")
                    whole[kind][place] = known + value if known is not None and streamed else value
        return whole, sum(count for _, count, _ in gathered)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of everybody's values; all processes must ask for it together.

        Raises:
            DnnRepairError: if another process is gone.
        """
        if self.world == 1:
            return values
        from torch import distributed

        total = values.clone()
        try:
            distributed.all_reduce(total)
        except RuntimeError as error:
            message = (
                f"process {self.rank} of {self.world} lost another ({str(error).splitlines()[0]}); "
                "start all of them again: a search goes on from its last checkpoint"
            )
            raise DnnRepairError(message) from error
        return total


def backends(devices: int) -> str:
    """Return what adds up tensors of either kind: NCCL knows none of the CPU's.

    Args:
        devices: how many CUDA devices there are.
    """
    return "cpu:gloo,cuda:nccl" if devices else "gloo"


@contextmanager
def sharded() -> Iterator[Shards]:
    """Join the process group that ``torchrun`` described in the environment, if it did."""
    from torch import cuda, distributed

    alone = int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized()  # noqa: PLR2004
    if not alone:
        # Its functions' defaults hold the group that exists when it is first imported, as an export
        # does. The group's threads would outlive the group and abort the process at its exit.
        importlib.import_module("torch.distributed.nn.functional")
        there = cuda.is_available() and distributed.is_nccl_available()
        devices = cuda.device_count() if there else 0
        if devices:
            cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % devices)
        distributed.init_process_group(backends(devices))
    try:
        yield Shards.current()
    finally:
        if not alone:
            distributed.destroy_process_group()
