"""Watch a training run: the same findings live, and those that only a run can show."""
