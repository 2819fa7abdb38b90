"""What joins spaCy to PyTorch: Thinc models, from Docs to scores."""
