"""An LSTM tagger for spaCy: the component `lstm_tagger` and its architectures."""

from .pipeline.active_learning import uncertain
from .pipeline.probabilities import register_extensions
from .pipeline.rendering import render
from .pipeline.tagger import LSTMTagger

__all__ = ["LSTMTagger", "register_extensions", "render", "uncertain"]
