"""Thinc models that connect spaCy to the networks."""
