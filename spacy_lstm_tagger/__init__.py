"""An LSTM tagger for spaCy: the component `lstm_tagger` and its architectures."""

from .pipeline.confidence import register_extensions
from .pipeline.rendering import render
from .pipeline.tagger import LSTMTagger
from .pipeline.uncertainty import uncertain

__all__ = ["LSTMTagger", "register_extensions", "render", "uncertain"]
