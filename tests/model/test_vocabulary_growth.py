"""Tests of `growth.py`: what a vocabulary is to learn of the Docs of a batch."""

from collections.abc import Callable

import numpy
import pytest
from spacy.tokens import Doc
from spacy_lstm_tagger.model.features import forms_of, type_ids
from spacy_lstm_tagger.model.growth import contexts_of, find_news

from spacy_lstm_tagger.model.vocabulary import News, Vocabulary, affixes, learn_vocabulary

MakeDocs = Callable[..., list[Doc]]


def news_of(
    vocabulary: Vocabulary, docs: list[Doc], min_frequency: int = 1, max_words: int = 1000
) -> News | None:
    forms, types = numpy.unique(forms_of(docs), return_inverse=True)
    ids = type_ids(docs, forms.tolist(), vocabulary)
    bounds = {"min_frequency": min_frequency, "max_words": max_words}
    return find_news(vocabulary, docs, types, ids, **bounds)


def read(vocabulary: Vocabulary, docs: list[Doc], **bounds: int) -> set[str]:
    """Learn from a batch; return the words that are no longer rare by it."""
    news = news_of(vocabulary, docs, **bounds)
    if news is not None:
        vocabulary.learn(news)
    return set() if news is None else set(news.frequent)


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_what_all_is_known_of_brings_no_news(docs: list[Doc], min_frequency: int) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    for _ in range(3):
        assert news_of(vocabulary, docs, min_frequency) is None
        assert news_of(vocabulary, docs[1:], min_frequency) is None


def test_news_are_words_affixes_and_characters_in_their_order(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    news = news_of(vocabulary, make_docs("the Wug", "wugs the"))
    assert news is not None
    assert news.words == ["wug", "wugs"]
    assert news.affixes == ["<wu", ">wug", ">ugs"]
    assert news.characters == ["W", "u"]
    assert news.frequent == []


def test_a_word_that_only_lacks_a_shape_is_news(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    news = news_of(vocabulary, make_docs("THE"))
    assert news is not None
    assert (news.words, news.affixes, news.characters) == ([], ["=XXX"], ["H", "E"])


@pytest.mark.parametrize("min_frequency", [1, 2, 3])
def test_a_word_gets_an_id_and_then_is_frequent(make_docs: MakeDocs, min_frequency: int) -> None:
    vocabulary = Vocabulary()
    texts = ["a wug", "the wug", "wug", "one wug ran"]
    for n, text in enumerate(texts, 1):
        frequent = read(vocabulary, make_docs(text), min_frequency=min_frequency)
        assert ("wug" in vocabulary.words) == (n >= min_frequency)
        assert ("wug" in frequent) == (n == min_frequency + 1)
    assert not vocabulary.is_rare[vocabulary.words["wug"]]
    assert "wug" not in vocabulary.met["words"]


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_a_text_that_is_read_again_tells_nothing_new(
    make_docs: MakeDocs, min_frequency: int
) -> None:
    vocabulary, docs = Vocabulary(), make_docs("a wug saw a wug", "the end")
    read(vocabulary, docs, min_frequency=min_frequency)
    for _ in range(3):
        assert news_of(vocabulary, docs, min_frequency) is None


def test_in_one_batch_a_word_can_become_frequent(make_docs: MakeDocs) -> None:
    vocabulary = Vocabulary()
    assert read(vocabulary, make_docs("a wug saw the wug")) == {"wug"}
    assert vocabulary.is_rare[vocabulary.words["saw"]]


@pytest.mark.parametrize("max_words", [1, 2, 4])
def test_a_full_vocabulary_learns_no_more(make_docs: MakeDocs, max_words: int) -> None:
    vocabulary = Vocabulary()
    for text in ("one two", "three four", "five six"):
        read(vocabulary, make_docs(text), max_words=max_words)
    assert list(vocabulary.words) == ["one", "two", "three", "four"][:max_words]
    assert set(vocabulary.sizes.values()) == {max_words}


def test_what_is_remembered_has_a_bound(make_docs: MakeDocs) -> None:
    vocabulary = Vocabulary()
    for i in range(100):
        read(vocabulary, make_docs(f"w{i}a w{i}b"), min_frequency=2, max_words=10)
    assert max(map(len, vocabulary.met.values())) <= 10
    assert set(affixes("w1a")) & set(vocabulary.affixes)


def test_contexts_are_equal_where_both_neighbours_are(make_docs: MakeDocs) -> None:
    docs = make_docs("a b c", "a x c b", "", "b a c", "c b a")
    contexts = contexts_of(docs).tolist()
    assert contexts[1] == contexts[4]  # a _ c
    others = [contexts[i] for i in (0, 2, 3, 5, 6, 7, 8, 9, 11)]
    assert len(set(others)) == len(others)
    assert contexts_of(docs[2:3]).tolist() == []
