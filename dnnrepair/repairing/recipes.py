"""How treated copies are trained."""

from __future__ import annotations

from dnnrepair.recover import EarlyStopping, Recipe

GENTLE = Recipe(  # from where the network is: small steps, no step by an outlier
    epochs=12,
    learning_rate=1e-3,
    optimizer_settings={"weight_decay": 1e-4},
    clip_norm=1.0,
    stopping=EarlyStopping(patience=4),
)
AFRESH = Recipe(  # from fresh weights
    epochs=20,
    learning_rate=3e-3,
    optimizer_settings={"weight_decay": 1e-4},
    clip_norm=1.0,
    stopping=EarlyStopping(patience=6),
)
