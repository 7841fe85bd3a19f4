"""Fairness metrics, one file each."""
