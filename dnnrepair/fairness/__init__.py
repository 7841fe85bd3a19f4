"""How a network treats groups of people: counts, rates, metrics and how sure they are.

The modules of this package know tables of counts and no networks.
"""
