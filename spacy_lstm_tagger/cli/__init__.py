"""What a user runs: the commands of `python -m spacy lstm-tagger`."""
