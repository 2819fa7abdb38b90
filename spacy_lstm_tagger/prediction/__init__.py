"""NumPy alone: trained weights and ids in, scores out, on a CPU."""
