"""Ways to repair a network: each proposes changes, none decides which is taken."""
