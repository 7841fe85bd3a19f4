"""One file per operation, registered by name."""
