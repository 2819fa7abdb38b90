"""What knows spaCy: the component `lstm_tagger`, from scores to annotated Docs."""
