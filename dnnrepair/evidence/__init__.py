"""What is measured: frozen values in plain numpy; those gathered in batches add."""
