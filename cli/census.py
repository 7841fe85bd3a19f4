"""The example of the fairness commands: made-up people, and a network trained on some of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dnnrepair.files import OutputError, check_writable, write_bytes_whole, write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

TRAIN, ROWS, PREDICTIONS = "synthetic_train.csv", "synthetic_rows.csv", "synthetic_predictions.csv"
MODEL, PREPROCESS = "model.pt2", "prep.toml"
NAMES = (TRAIN, ROWS, PREDICTIONS, PREPROCESS, MODEL)
LABEL, POSITIVE = "income", ">50K"
_DRAWN, _TRAINING = 12_000, 3000
_SYNTHETIC = (
    "# Fitted to synthetic_train.csv, rows that were drawn at random: no person stands behind them."
)


def check_folder(folder: Path) -> None:
    """Make sure, before any work starts, that the example can be written, over nothing.

    Raises:
        OutputError: if it cannot, or if files of its names are there.
    """
    there = next((name for name in NAMES if (folder / name).exists()), None)
    if there is not None:
        message = f"{folder / there} exists already; name another folder"
        raise OutputError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the folder {folder}: {(error.strerror or str(error)).lower()}"
        raise OutputError(message) from error
    check_writable(folder / MODEL)


def told(folder: Path) -> str:
    """Return what was written and what to do with it."""
    asked = f'--label {LABEL} --positive "{POSITIVE}" --sensitive sex'
    return f"""Synthetic: these people were drawn at random, no person stands behind them.
Written to {folder}:
  {TRAIN:<26} the rows that the network was trained on
  {ROWS:<26} other rows, to audit and to repair with
  {PREDICTIONS:<26} what the network answers to these
  {MODEL:<26} a network that treats the sexes differently
  {PREPROCESS:<26} how columns become its inputs

Try there:
  dnnrepair audit --predictions {PREDICTIONS} {asked}
  dnnrepair audit {MODEL} --data {ROWS} --preprocess {PREPROCESS} {asked}
  dnnrepair debias {MODEL} --data {ROWS} --preprocess {PREPROCESS} {asked}"""


def write_census(folder: Path, seed: int) -> None:
    """Write the tables, the network and its preprocessing.

    Args:
        folder: where to; see :func:`check_folder`.
        seed: of what is drawn, and of the training.

    Raises:
        OutputError: a file cannot be written.
    """
    from dnnrepair.data.preprocessing import fit_preprocessing
    from dnnrepair.data.preprocessing_file import as_toml
    from dnnrepair.models.census import synthetic_census
    from dnnrepair.models.tabular import train_tabular

    people = synthetic_census(_DRAWN, seed).drop_duplicates().reset_index(drop=True)
    train, rest = people[:_TRAINING], people[_TRAINING:].reset_index(drop=True)
    how = fit_preprocessing(train, TRAIN, leave=[LABEL])
    wanted = (train[LABEL] == POSITIVE).to_numpy().astype(int)
    network = train_tabular(
        how.encode(train, TRAIN), wanted, hidden=(16,), epochs=20, learning_rate=1e-2, seed=seed
    )
    answered = rest[["sex", "region", LABEL]].assign(score=_scores(network, how.encode(rest, ROWS)))
    write_whole(folder / TRAIN, train.to_csv(index=False))
    write_whole(folder / ROWS, rest.to_csv(index=False))
    write_whole(folder / PREDICTIONS, answered.to_csv(index=False, float_format="%.4f"))
    write_whole(folder / PREPROCESS, f"{_SYNTHETIC}\n{as_toml(how)}")
    write_bytes_whole(folder / MODEL, _exported(network, how.width))


def _scores(network: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of the favorable label, ``(rows,)``."""
    import torch

    with torch.no_grad():
        found: NDArray[np.float32] = network(torch.from_numpy(inputs)).softmax(1)[:, 1].numpy()
    return found


def _exported(network: nn.Module, width: int) -> bytes:
    from dnnrepair.models.tabular import export_tabular

    with TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        export_tabular(network, width, path)
        return path.read_bytes()
