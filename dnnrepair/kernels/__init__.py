"""Fused evaluation of a population of sparse weight patches, on CUDA through Triton.

A task (:class:`Head`, :class:`Tail`, :class:`ConvTail`) holds what stays the same during a search.
:func:`head`, :func:`tail` and :func:`conv_tail` prepare it once and return an evaluator that takes
the changes of P candidates. Where a task cannot run fused (no CUDA, no Triton, float64) the
evaluator is the one in plain torch; its ``backend`` says which it is.

Triton is imported when a fused evaluator is prepared, never before.
"""

from dnnrepair.kernels.graphs import captured
from dnnrepair.kernels.launch import available, conv_tail, head, runs_on, tail
from dnnrepair.kernels.screen import Screen, screened
from dnnrepair.kernels.shape import Shape
from dnnrepair.kernels.tasks import (
    Activation,
    ConvEvaluator,
    ConvTail,
    Evaluator,
    Head,
    Scores,
    Scoring,
    Tail,
)
from dnnrepair.kernels.trust import differing

__all__ = [
    "Activation",
    "ConvEvaluator",
    "ConvTail",
    "Evaluator",
    "Head",
    "Scores",
    "Scoring",
    "Screen",
    "Shape",
    "Tail",
    "available",
    "captured",
    "conv_tail",
    "differing",
    "head",
    "runs_on",
    "screened",
    "tail",
]
