"""What to put on the table, as the user named it."""

from __future__ import annotations

from dataclasses import dataclass, field

from dnnrepair.data import DataOptions


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to put on the table, as the user named it.

    Attributes:
        model: a file, a Hugging Face directory, ``timm:NAME`` or ``models:NAME``.
        data: see :func:`dnnrepair.data.open_data`; None for none.
        arch: the architecture's factory for a state dict.
        task, loss: None to guess from the data and the graph.
        trust_pickle: unpickle the file even if that runs code from it.
        input_shape: of one sample, to export without data.
        probe: "gaussian" to observe synthetic inputs.
        device: where to run.
        seed: of whatever is random.
        data_options: how to read the data.
    """

    model: str
    data: str | None = None
    arch: str | None = None
    task: str | None = None
    loss: str | None = None
    trust_pickle: bool = False
    input_shape: tuple[int, ...] | None = None
    probe: str | None = None
    device: str = "cpu"
    batch_size: int = 128
    seed: int = 0
    data_options: DataOptions = field(default_factory=DataOptions)
