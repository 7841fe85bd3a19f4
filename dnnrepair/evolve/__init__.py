"""Differential evolution as init, ask and tell on tensors; knows numbers, never networks."""
