"""Tests of `streaming.py`: scoring word by word equals scoring a whole Doc."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose
from spacy.tokens import Doc
from thinc.api import Adam, Linear

from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.streaming import WordReader
from spacy_lstm_tagger.model.types import DocModel, Floats2d

MakeModel = Callable[..., DocModel]

WORDS = ["the", "wug", "saw", "Dog", "🙂", "a", "bird", "the"]


def score(reader: WordReader, words: list[str]) -> Floats2d:
    """Score words one after another."""
    state, scores = reader.start(), numpy.zeros((len(words), reader.n_labels), dtype="float32")
    for position, word in enumerate(words):
        for distance, contribution in enumerate(reader.read(word, state)[: position + 1]):
            scores[position - distance] += contribution
    return scores


@pytest.mark.parametrize("lookahead", [0, 1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"depth": 3},
        {"character_lstm_width": 0},
        {"affixes": False},
        {"include_static_vectors": True},
        {"window_length": 1},
    ],
    ids=str,
)
def test_scoring_word_by_word_equals_scoring_a_doc(
    make_model: MakeModel, docs: list[Doc], settings: dict[str, Any], lookahead: int
) -> None:
    model = make_model(bidirectional=False, lookahead=lookahead, **settings)
    reader = WordReader(model, docs[0].vocab)
    assert (reader.lookahead, reader.n_labels) == (lookahead, model.get_dim("nO"))
    (expected,) = model.predict([Doc(docs[0].vocab, words=WORDS)])
    for _ in range(2):
        assert_allclose(score(reader, WORDS), expected, atol=1e-5)


def test_a_reader_keeps_its_weights_in_training(
    make_model: MakeModel, update: Callable[..., None], docs: list[Doc]
) -> None:
    model = make_model(bidirectional=False)
    reader = WordReader(model.copy(), docs[0].vocab)
    expected = score(reader, WORDS)
    update(model, docs, Adam(0.1))
    assert score(reader, WORDS).tolist() == expected.tolist()
    assert (score(WordReader(model, docs[0].vocab), WORDS) != expected).any()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LSTMTagger(crf=True, bidirectional=False), "crf = true needs the whole text"),
        (LSTMTagger(), "reads in both directions needs the whole text"),
        (LSTMTok2Vec(bidirectional=False), "not the model 'lstm_tok2vec'"),
        (Linear(), "not the model 'linear'"),
        (LSTMTagger(bidirectional=False), "no weights yet"),
    ],
)
def test_models_that_cannot_read_word_by_word_are_refused(
    docs: list[Doc], model: DocModel, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        WordReader(model, docs[0].vocab)
