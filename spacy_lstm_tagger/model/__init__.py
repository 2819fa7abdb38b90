"""What joins spaCy to the networks: Thinc models, from Docs to scores."""
