"""Which verdicts no candidate of a search can change: bounds over the whole search box.

Every value of the network is bounded by a zonotope (see ``zonotope.py``) whose symbols are the
changed weights. A :class:`~dnnrepair.bounds.zonotope.Zonotope` answers to torch's operations
through the rules of this package, so the program itself runs on it: one rule per operation, each
in the file of its kind. An operation without a rule certifies nothing and says so.
"""

from dnnrepair.bounds.certificate import Certified as Certified
from dnnrepair.bounds.certificate import certify as certify
