"""Real tables about people, and the networks that the benchmark trains on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from dnnrepair.errors import DataError
from dnnrepair.fairness.counts import confusion
from dnnrepair.fairness.rates import f1

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Flags = pd.Series[bool]

_SENSITIVE = ("sex", "race", "SEX")
_BATCH, _RATE = 256, 0.1
_LEFT_OUT = ("fnlwgt", "education", "native_country", "age_cat", "decile_score", "score_text",
             "v_decile_score", "v_score_text", "is_recid", "is_violent_recid",
             "days_b_screening_arrest", "c_days_from_compas")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """A table about people, ready for a network.

    Attributes:
        name: of the data.
        inputs: ``(n, d)`` float32: numbers, then a block for each text column.
        numbers: how many of the inputs are numbers.
        labels: ``(n,)`` 0 or 1.
        groups: by attribute, ``(n,)`` 0 or 1.
        blocks: by attribute, which inputs say its value, one each; empty if none does.
        hidden: widths of the network's layers.
        dropout: while it is trained.
        balanced: labels are drawn equally often while it is trained.
    """

    name: str
    inputs: NDArray[np.float32]
    numbers: int
    labels: Whole
    groups: dict[str, Whole]
    blocks: dict[str, tuple[int, ...]]
    hidden: tuple[int, ...]
    dropout: float
    balanced: bool = False


def adult(folder: Path, *, told: bool = True) -> People:
    """Return Adult (Becker and Kohavi 1996): does a person earn more than 50,000 a year?

    Args:
        folder: of all data.
        told: the attributes are among the inputs.
    """
    frame = _joined(folder, "adult/adult_train.csv.gz", "adult/adult_test.csv.gz")
    return _people(
        frame,
        name="Adult",
        label=frame["income"].str.strip() == ">50K",
        leave="income",
        groups={
            "sex": frame["sex"].str.strip() == "Male",
            "race": frame["race"].str.strip() == "White",
        },
        told=told,
        hidden=(64, 128, 64),
        dropout=0.1,
    )


def compas(folder: Path, *, told: bool = True) -> People:
    """Return COMPAS with ProPublica's filter: is a person arrested again within two years?"""
    frame = _joined(folder, "compas/compas_two_years.csv.gz")
    kept = (
        (frame["days_b_screening_arrest"].abs() <= 30)  # noqa: PLR2004 - days
        & (frame["is_recid"] != -1)
        & (frame["c_charge_degree"] != "O")
        & (frame["score_text"] != "N/A")
    )
    frame = frame[kept].reset_index(drop=True)
    return _people(
        frame,
        name="COMPAS",
        label=frame["two_year_recid"] == 1,
        leave="two_year_recid",
        groups={"race": frame["race"] == "African-American", "sex": frame["sex"] == "Male"},
        told=told,
        hidden=(32, 32),
        dropout=0.2,
    )


def default(folder: Path, *, told: bool = True) -> People:
    """Return Default of credit card clients (Yeh 2016): does a client fail to pay next month?"""
    frame = _joined(folder, "credit_card_default/credit_card_default.csv.gz")
    frame = frame.astype({"SEX": str, "EDUCATION": str, "MARRIAGE": str})
    return _people(
        frame,
        name="Default",
        label=frame["default payment"] == 1,
        leave="default payment",
        groups={"sex": frame["SEX"] == "1"},
        told=told,
        hidden=(16, 16, 16),
        dropout=0.2,
        balanced=True,
    )


def parts(people: People, seed: int) -> tuple[Whole, Whole, Whole]:
    """Return places of rows that train (60 %), that also repair (20 %), and that judge (20 %)."""
    order = np.random.default_rng(1000 + seed).permutation(len(people.labels))
    first, second = int(0.6 * len(order)), int(0.8 * len(order))
    return order[:first], order[first:second], order[second:]


def scaled(people: People, train: Whole) -> torch.Tensor:
    """Return the inputs, numbers with the training rows' mean 0 and deviation 1."""
    found = people.inputs.copy()
    numbers = found[:, : people.numbers]
    mean, std = numbers[train].mean(0), numbers[train].std(0) + 1e-6
    found[:, : people.numbers] = (numbers - mean) / std
    return torch.from_numpy(found)


def trained(people: People, inputs: torch.Tensor, seed: int) -> nn.Module:
    """Return a network after stochastic gradient descent, at its best F1 on the second part.

    Widths, dropout, balance and the choice by F1 are those of the networks of NeuFair (Dasu, Kumar,
    Tizpaz-Niari and Tan, ISSTA 2024), for whose data sets the required figures were set.
    """
    train, valid, _ = parts(people, seed)
    labels = torch.from_numpy(people.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(inputs.shape[1], people.hidden, people.dropout)
        rng = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.SGD(network.parameters(), _RATE)
        x, y = inputs[train], labels[train].float()
        odds = torch.where(y > 0, 1 / y.sum(), 1 / (1 - y).sum())
        best, kept = -1.0, network.state_dict()
        for _ in range(10 if len(x) > 20_000 else 40):  # noqa: PLR2004 - epochs
            order = (
                torch.multinomial(odds, len(x), replacement=True, generator=rng)
                if people.balanced
                else torch.randperm(len(x), generator=rng)
            )
            network.train()
            for places in order.split(_BATCH):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    network(x[places])[:, 0], y[places]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            network.eval()
            found = _f1(network, inputs[valid], people.labels[valid])
            if found > best:
                best, kept = found, {n: v.clone() for n, v in network.state_dict().items()}
    network.load_state_dict(kept)
    return network.eval()


@torch.no_grad()
def _f1(network: nn.Module, inputs: torch.Tensor, labels: Whole) -> float:
    decided = (network(inputs)[:, 0] > 0).long().numpy()
    zeros = np.zeros(len(labels), dtype=np.int64)
    return float(f1(confusion(zeros, labels, decided, group_count=1)[0]))


def _network(width: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 1))


def _joined(folder: Path, *names: str) -> pd.DataFrame:
    import pandas as pd

    for name in names:
        if not (folder / name).is_file():
            message = f"{folder / name} does not exist; name the folder of the data with --data-dir"
            raise DataError(message)
    return pd.concat([pd.read_csv(folder / name) for name in names], ignore_index=True)


def _people(
    frame: pd.DataFrame,
    *,
    name: str,
    label: Flags,
    leave: str,
    groups: dict[str, Flags],
    told: bool,
    **more: Any,  # noqa: ANN401 - of People
) -> People:
    import pandas as pd

    left = (leave, *_LEFT_OUT, *(() if told else _SENSITIVE))
    kept = frame.drop(columns=[column for column in left if column in frame.columns])
    numeric = [c for c in kept.columns if kept[c].dtype.kind in "biuf"]
    text = [c for c in kept.columns if c not in numeric]
    levels = pd.get_dummies(kept[text].fillna("?").astype(str))
    names = [*numeric, *levels.columns]
    return People(
        name=name,
        inputs=np.concatenate([one.to_numpy(np.float32) for one in (kept[numeric], levels)], 1),
        numbers=len(numeric),
        labels=label.to_numpy().astype(np.int64),
        groups={key: one.to_numpy().astype(np.int64) for key, one in groups.items()},
        blocks={key: _block(key, names) for key in groups},
        **more,
    )


def _block(attribute: str, names: Sequence[str]) -> tuple[int, ...]:
    """Return the inputs that each stand for one value of an attribute."""
    start = f"{attribute.lower()}_"
    return tuple(place for place, name in enumerate(names) if name.lower().startswith(start))


def twins(people: People, attribute: str, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the same inputs with each value of an attribute in turn; none if it is no input."""
    block = list(people.blocks[attribute])
    found = []
    for place in block:
        other = inputs.clone()
        other[:, block] = 0.0
        other[:, place] = 1.0
        found.append(other)
    return tuple(found)
