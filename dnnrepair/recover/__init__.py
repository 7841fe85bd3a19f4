"""The short training that a changed network needs, from a copy, with the best state kept."""

from __future__ import annotations

from dnnrepair.recover.lesson import Lesson
from dnnrepair.recover.recipe import Distillation, Recipe
from dnnrepair.recover.recovered import Epoch, Recovered, RecoveryError
from dnnrepair.recover.stopping import EarlyStopping
from dnnrepair.recover.supplied import recover_with
from dnnrepair.recover.training import recover

__all__ = [
    "Distillation",
    "EarlyStopping",
    "Epoch",
    "Lesson",
    "Recipe",
    "Recovered",
    "RecoveryError",
    "recover",
    "recover_with",
]
