"""A report in, a string out; one file per format."""
