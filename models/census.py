"""Made-up rows in the manner of a census, for trying out audits where no real data are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    Columns = dict[str, Any]

WOMEN = 0.45  # share of the rows
WORK = ("farm", "factory", "office", "shop")


def synthetic_census(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return rows that no person stands behind: age, hours, schooling, work, sex, region, income.

    Income depends on schooling, hours and age, and is lower for women at the same values: a
    network that is trained on it treats the sexes differently.

    Args:
        rows: how many.
        seed: of what is drawn.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    woman = rng.random(rows) < WOMEN
    schooling = np.clip(rng.normal(11, 2.6, rows), 4, 20).round()
    age = rng.integers(18, 70, rows)
    hours = np.clip(rng.normal(40, 9, rows) - 4 * woman, 5, 80).round()
    work = rng.choice(len(WORK), rows, p=[0.1, 0.3, 0.4, 0.2])
    chance = 0.45 * (schooling - 11) + 0.05 * (hours - 40) + 0.04 * (age - 40) - 0.3 * (work == 0)
    earns = rng.random(rows) < 1 / (1 + np.exp(1.0 + 0.9 * woman - chance))
    return pd.DataFrame(
        {
            "age": age,
            "hours": hours.astype(int),
            "schooling": schooling.astype(int),
            "work": np.array(WORK)[work],
            "sex": np.where(woman, "Female", "Male"),
            "region": rng.choice(["north", "south", "west"], rows, p=[0.5, 0.35, 0.15]),
            "income": np.where(earns, ">50K", "<=50K"),
        }
    )
