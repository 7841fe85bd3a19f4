"""Fault localization: the weights most responsible for what a network gets wrong."""

from dnnrepair.localize.contrast import contrast
from dnnrepair.localize.localize import LocalizerSettings, localize
from dnnrepair.localize.scores import Scores
from dnnrepair.localize.suspects import Localizer, Suspects

__all__ = ["Localizer", "LocalizerSettings", "Scores", "Suspects", "contrast", "localize"]
