"""A fairness report in every format: what it says, section by section, and its plots."""
