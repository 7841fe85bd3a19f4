"""Evaluate a whole population of weight patches at once.

A population is a tensor: P candidates, each with values for the same k weights. The suffix of the
graph, what the k weights can change, is interpreted over three kinds of value:

========== ================================== =====================================================
kind       holds                              meaning
========== ================================== =====================================================
``Shared`` the unpatched network's value      the same for every candidate: computed once, kept
``Sparse`` the same, and some units' values   a patched layer changes the units it feeds, no others
``Dense``  a version for every candidate      everything differs; weights are still shared
========== ================================== =====================================================

A patched layer makes ``Sparse`` of ``Shared`` at a cost that does not depend on its width; what
works unit by unit keeps it; the next layer makes ``Dense`` of it through the changed units alone.
What has no rule runs on ``Dense`` values under ``vmap``, so every exported network works.
"""

from dnnrepair.population.evaluator import Evaluator
from dnnrepair.population.places import Place, Places
from dnnrepair.population.prepare import naive, prepare
from dnnrepair.population.settings import EvaluatorSettings
from dnnrepair.population.together import Together

__all__ = ["Evaluator", "EvaluatorSettings", "Place", "Places", "Together", "naive", "prepare"]
