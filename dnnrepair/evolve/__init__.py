"""Differential evolution as init, ask and tell on tensors; knows numbers, never networks."""

from dnnrepair.evolve.box import Box, arachne_box
from dnnrepair.evolve.checkpoint import Checkpoint
from dnnrepair.evolve.driver import Result, SearchInterrupted, search
from dnnrepair.evolve.rand1bin import Rand1Bin
from dnnrepair.evolve.shade import Shade
from dnnrepair.evolve.start import Uniform, arachne_normal, around
from dnnrepair.evolve.state import State
from dnnrepair.evolve.stopping import Stopping

__all__ = [
    "Box",
    "Checkpoint",
    "Rand1Bin",
    "Result",
    "SearchInterrupted",
    "Shade",
    "State",
    "Stopping",
    "Uniform",
    "arachne_box",
    "arachne_normal",
    "around",
    "search",
]
