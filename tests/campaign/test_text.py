"""Any Unicode text in any tokens: one label per token, the same alone and in any batch."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc

characters = st.characters(exclude_categories=["Cs"])  # strings of spaCy have no lone surrogates
words = st.text(characters, min_size=1, max_size=40)
texts = st.lists(words, max_size=40)


@pytest.fixture(scope="module", params=[{}, {"crf": True}], ids=str)
def tagger(request: pytest.FixtureRequest, train: Callable, tiny: dict[str, Any]) -> Language:
    return train(spacy.blank("xx"), model={**tiny, **request.param})


def tags(docs: list[Doc]) -> list[list[str]]:
    return [[token.tag_ for token in doc] for doc in docs]


@given(batch=st.lists(texts, min_size=1, max_size=6))
def test_any_tokens_alone_and_in_a_batch(tagger: Language, batch: list[list[str]]) -> None:
    component = tagger.get_pipe("lstm_tagger")
    docs = [Doc(tagger.vocab, words=words) for words in batch]
    together = component.model.predict(docs)
    alone = [component.model.predict([doc])[0] for doc in docs]
    for one, other, doc in zip(alone, together, docs, strict=True):
        assert one.shape == other.shape == (len(doc), len(component.labels))
        assert numpy.isfinite(one).all()
        assert_allclose(one, other, atol=1e-5)
    expected = [
        ["_SP" if token.is_space else component.labels[row.argmax()] for token, row in pairs]
        for pairs in map(zip, docs, alone)
    ]
    assert tags(list(component.pipe(docs, batch_size=4))) == expected


@given(batch=st.lists(st.text(characters, max_size=200), max_size=6))
def test_any_text_alone_in_a_batch_and_in_a_memory_zone(tagger: Language, batch: list[str]) -> None:
    docs = [tagger(text) for text in batch]
    alone = tags(docs)
    allowed = {True: ("_SP",), False: ("DET", "NN", "V")}
    assert all(token.tag_ in allowed[token.is_space] for doc in docs for token in doc)
    assert tags(list(tagger.pipe(batch))) == alone
    with tagger.memory_zone():
        assert tags(list(tagger.pipe(batch, batch_size=2))) == alone


@given(word=words, n=st.integers(1, 2000))
def test_long_texts(tagger: Language, word: str, n: int) -> None:
    (doc,) = tagger.pipe([Doc(tagger.vocab, words=[word, "dog"] * n)])
    assert len(doc) == 2 * n and all(token.tag for token in doc)
