"""An LSTM tagger for spaCy: the component `lstm_tagger` and its architectures."""

from .pipeline.confidence import register_extensions
from .pipeline.tagger import LSTMTagger

__all__ = ["LSTMTagger", "register_extensions"]
