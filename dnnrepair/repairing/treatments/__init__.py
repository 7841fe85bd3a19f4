"""One file per kind of treatment."""
