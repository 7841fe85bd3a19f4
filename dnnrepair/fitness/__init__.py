"""What a search maximizes: sums over inputs of bounded terms, the same in any order."""

from dnnrepair.fitness.arachne import Arachne
from dnnrepair.fitness.fitness import Fitness, Weighted
from dnnrepair.fitness.margin import Margin
from dnnrepair.fitness.outputs import Outputs
from dnnrepair.fitness.regression import Regression

__all__ = ["Arachne", "Fitness", "Margin", "Outputs", "Regression", "Weighted"]
