"""Changes of a network's structure: activations, normalizations, units, initial weights."""
