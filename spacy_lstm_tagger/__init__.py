"""An LSTM tagger for spaCy: the component `lstm_tagger` and its architectures."""

from .tagger import LSTMTagger

__all__ = ["LSTMTagger"]
