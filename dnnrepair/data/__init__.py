"""The data a network is judged on: any common form in, batches of tensors out."""

from dnnrepair.data.arrays import ArraySamples, gaussian, split
from dnnrepair.data.checks import check_labels
from dnnrepair.data.opening import open_data
from dnnrepair.data.samples import DataOptions, Samples, samples_of
from dnnrepair.data.streams import LoaderSamples

__all__ = [
    "ArraySamples",
    "DataOptions",
    "LoaderSamples",
    "Samples",
    "check_labels",
    "gaussian",
    "open_data",
    "samples_of",
    "split",
]
