"""Prediction on a CPU, in NumPy."""
