"""The project's own benchmarks: ``dnnrepair bench NAME``."""
