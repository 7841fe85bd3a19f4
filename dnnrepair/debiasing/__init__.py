"""The fairness repair: from a network and a table to a patch and a report."""

from dnnrepair.debiasing.debias import Debiased, debias
from dnnrepair.debiasing.request import DebiasRequest

__all__ = ["DebiasRequest", "Debiased", "debias"]
