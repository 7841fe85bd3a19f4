"""Any trained network in: files are examined before a parser sees them, and nothing in one runs."""

from dnnrepair.loading.load import load
from dnnrepair.loading.loaded import Loaded, tensors_of

__all__ = ["Loaded", "load", "tensors_of"]
