"""Repairs of an LSTM that reads tweets about airlines (RQ7 of Arachne)."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor, nn

from dnnrepair.bench.patch_tables import tables
from dnnrepair.bench.reference_cnns import initialized, train
from dnnrepair.bench.repairs import repairs
from dnnrepair.bench.result import BenchResult

if TYPE_CHECKING:
    from pathlib import Path

    from dnnrepair.bench.result import BenchOptions

TWEETS = "airline_tweets/airline_tweets.csv.gz"
NAME = "airline tweets"
SENTIMENTS = ("negative", "neutral", "positive")
WORDS, LENGTH, WIDTH = 4000, 30, 64
TEST = 0.2  # share of the tweets, as published
EPOCHS, SEEDS, TYPES = 2, 5, 2
_WORD = re.compile(r"[a-z']+|[!?]")


class Reader(nn.Module):
    """Words - embedding 64 - LSTM 64 - mean over words - 3 sentiments."""

    def __init__(self) -> None:
        """Make a network for words ``(N, LENGTH)``, 0 for none."""
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH, padding_idx=0)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, len(SENTIMENTS))

    def forward(self, words: Tensor) -> Tensor:
        """Return logits ``(N, 3)``."""
        states, _ = self.lstm(self.words(words))
        logits: Tensor = self.head(states.mean(1))
        return logits


def sentiment(options: BenchOptions) -> BenchResult:
    """Return what every method does to the two most frequent errors."""
    assert options.data_dir is not None  # asked before  # noqa: S101
    path = options.data_dir / TWEETS
    if not path.is_file():
        return BenchResult("patch", (), (), (f"{NAME}: {path} does not exist",))
    x, y = read(path)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(options.seed))
    test, rest = order[: int(TEST * len(x))], order[int(TEST * len(x)) :]
    options.progress.stage(f"training for {NAME}", EPOCHS)
    report = options.progress.advance
    network = train(
        initialized(Reader, options.seed),
        x[rest],
        y[rest],
        EPOCHS,
        options.seed,
        report=lambda _done: report(1),
    )
    runs = repairs(NAME, network, x[test], y[test], types=TYPES, seeds=SEEDS, options=options)
    return BenchResult("patch", tuple(tables(NAME, runs)), ())


def read(path: Path) -> tuple[Tensor, Tensor]:
    """Return the tweets as words ``(N, LENGTH)`` and their sentiments ``(N,)``."""
    table = pd.read_csv(path)
    split = [_WORD.findall(str(text).lower()) for text in table["text"]]
    common = Counter(word for words in split for word in words).most_common(WORDS - 2)
    number = {word: place + 2 for place, (word, _) in enumerate(common)}  # 0 none, 1 unknown
    rows = [[number.get(word, 1) for word in words[:LENGTH]] for words in split]
    x = torch.tensor([row + [0] * (LENGTH - len(row)) for row in rows])
    labels = [SENTIMENTS.index(name) for name in table["airline_sentiment"]]
    return x, torch.tensor(labels)
