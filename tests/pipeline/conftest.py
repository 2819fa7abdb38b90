"""Fixtures of the tests of the component."""

from collections.abc import Callable
from typing import Any

import pytest
from spacy.language import Language
from spacy.training import Example

from spacy_lstm_tagger.pipeline.tagger import LSTMTagger


@pytest.fixture
def examples(nlp: Language, make_examples: Callable) -> list[Example]:
    return make_examples(nlp)


@pytest.fixture
def tagger(nlp: Language, examples: list[Example], tiny: dict[str, Any]) -> LSTMTagger:
    """An initialized component whose training has no chance in it."""
    component = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "unknown_rate": 0}})
    nlp.initialize(lambda: examples)
    return component
