"""Tests of `vocabulary.py`: what is learnt from the batches of a training."""

from collections.abc import Callable
from itertools import chain

import pytest
from spacy.tokens import Doc

from spacy_lstm_tagger.model.vocabulary import News, Vocabulary, affixes, learn_vocabulary
from spacy_lstm_tagger.model.word_types import WordTypes, ids_of

MakeDocs = Callable[..., list[Doc]]


def news_of(
    vocabulary: Vocabulary, docs: list[Doc], min_frequency: int = 1, max_words: int = 1000
) -> News | None:
    forms = [token.text for token in chain(*docs)]
    tokens = zip(forms, WordTypes(docs).contexts().tolist(), strict=True)
    return vocabulary.find_news(tokens, min_frequency=min_frequency, max_words=max_words)


def read(vocabulary: Vocabulary, docs: list[Doc], **bounds: int) -> set[str]:
    """Learn from a batch; return the words that are no longer rare."""
    news = news_of(vocabulary, docs, **bounds)
    if news is not None:
        vocabulary.learn(news)
    return set() if news is None else set(news.frequent)


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_known_docs_bring_no_news(docs: list[Doc], min_frequency: int) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    for _ in range(3):
        assert news_of(vocabulary, docs, min_frequency) is None
        assert news_of(vocabulary, docs[1:], min_frequency) is None


def test_news_have_words_affixes_and_characters_in_order(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    news = news_of(vocabulary, make_docs("the Wug", "wugs the"))
    assert news is not None
    assert news.words == ["wug", "wugs"]
    assert news.affixes == ["<wu", ">wug", ">ugs"]
    assert news.characters == ["W", "u"]
    assert news.frequent == []


def test_a_new_shape_of_a_known_word_is_news(make_docs: MakeDocs, vocabulary: Vocabulary) -> None:
    news = news_of(vocabulary, make_docs("THE"))
    assert news is not None
    assert (news.words, news.affixes, news.characters) == ([], ["=XXX"], ["H", "E"])


@pytest.mark.parametrize("min_frequency", [1, 2, 3])
def test_a_word_is_first_learnt_and_then_frequent(make_docs: MakeDocs, min_frequency: int) -> None:
    vocabulary = Vocabulary()
    texts = ["a wug", "the wug", "wug", "one wug ran"]
    for n, text in enumerate(texts, 1):
        frequent = read(vocabulary, make_docs(text), min_frequency=min_frequency)
        assert ("wug" in vocabulary.words) == (n >= min_frequency)
        assert ("wug" in frequent) == (n == min_frequency + 1)
    assert not vocabulary.is_rare[vocabulary.words["wug"]]


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_a_text_that_is_read_again_brings_no_news(make_docs: MakeDocs, min_frequency: int) -> None:
    vocabulary, docs = Vocabulary(), make_docs("a wug saw a wug", "the end")
    read(vocabulary, docs, min_frequency=min_frequency)
    for _ in range(3):
        assert news_of(vocabulary, docs, min_frequency) is None


def test_a_word_can_become_frequent_within_a_batch(make_docs: MakeDocs) -> None:
    vocabulary = Vocabulary()
    assert read(vocabulary, make_docs("a wug saw the wug")) == {"wug"}
    assert vocabulary.is_rare[vocabulary.words["saw"]]


@pytest.mark.parametrize("max_words", [1, 2, 4])
def test_a_full_vocabulary_stops_growing(make_docs: MakeDocs, max_words: int) -> None:
    vocabulary = Vocabulary()
    for text in ("one two", "three four", "five six"):
        read(vocabulary, make_docs(text), max_words=max_words)
    assert list(vocabulary.words) == ["one", "two", "three", "four"][:max_words]
    assert set(vocabulary.sizes.values()) == {max_words}


def test_counts_start_again_when_there_are_too_many(make_docs: MakeDocs) -> None:
    """Memory is bounded, and growth goes on."""
    vocabulary = Vocabulary()
    read(vocabulary, make_docs("a wug"), min_frequency=2, max_words=10)
    for i in range(20):
        read(vocabulary, make_docs(f"w{i}a w{i}b"), min_frequency=2, max_words=10)
    read(vocabulary, make_docs("the wug"), min_frequency=2, max_words=10)
    assert "wug" not in vocabulary.words  # its first context is forgotten
    read(vocabulary, make_docs("one wug"), min_frequency=2, max_words=10)
    assert "wug" in vocabulary.words
    assert set(affixes("w1a")) & set(vocabulary.affixes)


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_only_types_that_may_be_news_are_news(
    make_docs: MakeDocs, docs: list[Doc], min_frequency: int
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    (doc,) = make_docs("the dog saw a bird THE Wugs 🙂 dög")
    forms = [token.text for token in doc]
    may_be = vocabulary.may_be_news(ids_of(forms, vocabulary))
    for form, possible in zip(forms, may_be.tolist(), strict=True):
        tokens = ((form, context) for context in range(5))  # enough to be learnt
        news = vocabulary.find_news(tokens, min_frequency=min_frequency, max_words=1000)
        assert possible == (news is not None)
    assert may_be.tolist()[:2] == [False, min_frequency == 2]
    assert vocabulary.may_be_news(ids_of([], vocabulary)).tolist() == []
