"""From the options of a command to what it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnrepair.cli.goals import files_of

if TYPE_CHECKING:
    from dnnrepair.request import Request


def inputs_of(given: dict[str, Any]) -> list[Path]:
    """Return the files that must stay as they are; ``data.npz:test`` means ``data.npz``."""
    data = given["data"] or ""
    names = [given["model"], data, data.rpartition(":")[0], given.get("baseline")]
    return [*(Path(name) for name in names if name), *files_of(given)]


def request_of(given: dict[str, Any]) -> Request:
    """Return the network and the data that the options name."""
    from dnnrepair.data import DataOptions
    from dnnrepair.request import Request

    data = DataOptions(
        label=given["label"],
        features=given["features"],
        scale=given["scale"],
        mean=given["mean"],
        std=given["std"],
        layout=given["layout"],
    )
    same = ("model", "data", "arch", "task", "loss", "trust_pickle", "input_shape", "probe")
    chosen = {name: given[name] for name in (*same, "device", "batch_size", "seed")}
    return Request(**chosen, data_options=data)
