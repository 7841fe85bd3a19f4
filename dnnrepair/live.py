"""A network that cannot be exported, watched while it runs (``TorchFunctionMode``)."""
