"""What operations do to values that differ between candidates: a file per kind of operation."""
