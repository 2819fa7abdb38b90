"""Tests of `features.py`: the integers that Docs become."""

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab
from spacy_lstm_tagger.model.features import forms_of, type_ids, with_unknown
from thinc.types import Floats2d, Ints1d

from spacy_lstm_tagger.model import features
from spacy_lstm_tagger.model.vocabulary import (
    MAX_SPELLING,
    UNKNOWN,
    Vocabulary,
    affixes,
    learn_vocabulary,
    spelling,
)
from spacy_lstm_tagger.model.windows import cut, windows_of

MakeDocs = Callable[..., list[Doc]]
WithVectors = Callable[..., list[Doc]]

ODD_WORDS = [" ", "\n\t", "🙂👍🏽", "e\u0301\u0323", "ⵣⴰⵎ", "İ", "ß" * 40, "x" * 10_000]


class TokenIds(NamedTuple):
    """All ids of a batch: those of its types, and its windows."""

    words: Ints1d
    affixes: Ints1d
    spellings: Ints1d
    spelling_lengths: Ints1d
    vectors: Floats2d
    types: Ints1d
    window_lengths: Ints1d
    kept: Ints1d


def token_ids(
    docs: list[Doc],
    vocabulary: Vocabulary,
    *,
    window_length: int,
    context: int = 0,
    unknown_rate: float = 0.0,
    **settings: Any,
) -> TokenIds:
    forms, types = numpy.unique(forms_of(docs), return_inverse=True)
    ids = type_ids(docs, forms.tolist(), vocabulary, **settings)
    ids = with_unknown(ids, vocabulary, unknown_rate)
    return TokenIds(*ids, *windows_of(docs, types, window_length, context))


def assert_same(ids: TokenIds, others: TokenIds) -> None:
    for array, other in zip(ids, others, strict=True):
        numpy.testing.assert_array_equal(array, other)


def test_each_token_gets_the_id_of_its_word_in_lower_case(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "unheard of A")
    ids = token_ids(docs, vocabulary, window_length=2)
    expected = [vocabulary.words.get(token.text.lower(), 0) for token in chain(*docs)]
    assert ids.words[ids.types[ids.kept]].tolist() == expected
    assert UNKNOWN in expected


def test_each_token_gets_the_ids_of_its_affixes(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "unheard of A")
    ids = token_ids(docs, vocabulary, window_length=2)
    known = vocabulary.affixes
    expected = [[known.get(affix, 0) for affix in affixes(t.text)] for t in chain(*docs)]
    assert ids.affixes[ids.types[ids.kept]].tolist() == expected


def test_each_token_gets_the_ids_of_its_characters(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "ünheard of A " + "x" * 50)
    ids = token_ids(docs, vocabulary, window_length=2)
    spellings = numpy.split(ids.spellings, ids.spelling_lengths.cumsum()[:-1])
    known = vocabulary.characters
    for token, i in zip(chain(*docs), ids.types[ids.kept], strict=True):
        assert spellings[i].tolist() == [known.get(c, 0) for c in spelling(token.text)]


def test_there_is_one_type_for_each_distinct_form(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("the The the dog", "dog The new old new")
    ids = token_ids(docs, vocabulary, window_length=9)
    types = ids.types[ids.kept].tolist()
    forms = [token.text for token in chain(*docs)]
    assert len(ids.words) == len(ids.affixes) == len(ids.spelling_lengths) == len(set(forms))
    assert len(set(zip(forms, types, strict=True))) == len(set(forms)) == len(set(types))


@pytest.mark.parametrize("window_length, context", [(2, 0), (2, 1), (3, 5), (100, 1)])
def test_windows_are_those_of_cut(
    docs: list[Doc], vocabulary: Vocabulary, window_length: int, context: int
) -> None:
    ids = token_ids(docs, vocabulary, window_length=window_length, context=context)
    lengths = numpy.asarray([len(doc) for doc in docs])
    positions, window_lengths, kept = cut(lengths, window_length, context)
    whole = token_ids(docs, vocabulary, window_length=100)
    assert ids.types.tolist() == whole.types[positions].tolist()
    assert ids.window_lengths.tolist() == window_lengths.tolist()
    assert ids.kept.tolist() == kept.tolist()


def test_some_types_are_described_as_all_are(
    with_vectors: WithVectors, docs: list[Doc], vocabulary: Vocabulary
) -> None:
    with_vectors(docs, {"dog": [1.0, 2.0], "the": [3.0, 4.0]})
    forms = numpy.unique(forms_of(docs))
    whole = type_ids(docs, forms.tolist(), vocabulary, include_static_vectors=True)
    ends = whole.spelling_lengths.cumsum()
    for chosen in ([0], [2, 1], [*range(len(forms))][::-1], []):
        some = type_ids(docs, forms[chosen].tolist(), vocabulary, include_static_vectors=True)
        for name in ("words", "affixes", "spelling_lengths", "vectors"):
            assert getattr(some, name).tolist() == getattr(whole, name)[chosen].tolist()
        spelt = [whole.spellings[ends[i] - whole.spelling_lengths[i] : ends[i]] for i in chosen]
        assert some.spellings.tolist() == [c for characters in spelt for c in characters]


@pytest.mark.parametrize("window_length", [1, 2, 9])
@pytest.mark.parametrize("empty_at", [(0,), (1,), (3,), (0, 3), (0, 0, 1, 2, 2, 3)])
def test_empty_docs_anywhere_change_nothing(
    docs: list[Doc], vocabulary: Vocabulary, empty_at: tuple[int, ...], window_length: int
) -> None:
    mixed = list(docs)
    for place in sorted(empty_at, reverse=True):
        mixed.insert(place, Doc(docs[0].vocab))
    with_empty = token_ids(mixed, vocabulary, window_length=window_length, context=1)
    assert_same(with_empty, token_ids(docs, vocabulary, window_length=window_length, context=1))


@pytest.mark.parametrize("n_docs", [1, 2, 5])
@pytest.mark.parametrize("include_static_vectors", [False, True])
def test_empty_docs_alone_have_no_ids(
    with_vectors: WithVectors,
    make_docs: MakeDocs,
    vocabulary: Vocabulary,
    n_docs: int,
    include_static_vectors: bool,
) -> None:
    docs = with_vectors(make_docs(*[""] * n_docs), {"dog": [1.0, 2.0]})
    ids = token_ids(
        docs, vocabulary, window_length=3, include_static_vectors=include_static_vectors
    )
    assert all(len(array) == 0 for array in ids)
    assert ids.affixes.shape == (0, 3)
    assert ids.vectors.shape == (0, 2 if include_static_vectors else 0)


def test_odd_words_have_ids(docs: list[Doc]) -> None:
    odd = Doc(docs[0].vocab, words=ODD_WORDS)
    known = token_ids([odd], learn_vocabulary([odd]), window_length=4, context=2)
    assert all((array > 0).all() for array in (known.words, known.affixes, known.spellings))
    unknown = token_ids([odd], learn_vocabulary([]), window_length=4, context=2)
    assert not any(array.any() for array in (unknown.words, unknown.affixes, unknown.spellings))
    assert 1 <= unknown.spelling_lengths.min() <= unknown.spelling_lengths.max() <= MAX_SPELLING


def test_all_ids_are_integers_that_torch_takes(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = token_ids(docs, vocabulary, window_length=4, unknown_rate=0.5)
    assert {array.dtype for array in ids._replace(vectors=ids.words)} == {numpy.dtype("int64")}


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_unknown_rate_one_hides_rare_words_and_no_others(
    docs: list[Doc], min_frequency: int, frequencies: dict[str, int]
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    ids = token_ids(docs, vocabulary, window_length=9, unknown_rate=1.0)
    seen = ids.words[ids.types[ids.kept]].tolist()
    for token, word in zip(chain(*docs), seen, strict=True):
        frequent = frequencies[token.text.lower()] > min_frequency
        assert word == (vocabulary.words[token.text.lower()] if frequent else UNKNOWN)


def test_unknown_rate_zero_hides_no_words(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = token_ids(docs, vocabulary, window_length=9, unknown_rate=0.0)
    assert (ids.words != UNKNOWN).all()


def test_unknown_rate_changes_nothing_but_words(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = token_ids(docs, vocabulary, window_length=9, unknown_rate=1.0)
    whole = token_ids(docs, vocabulary, window_length=9)
    assert_same(ids._replace(words=whole.words), whole)


@pytest.mark.parametrize("unknown_rate", [0.2, 0.7])
def test_unknown_rate_is_a_probability_drawn_afresh(
    make_docs: MakeDocs, unknown_rate: float
) -> None:
    docs = make_docs(" ".join(f"w{i}" for i in range(2000)))
    vocabulary = learn_vocabulary(docs)
    numpy.random.seed(0)
    first, second = (
        token_ids(docs, vocabulary, window_length=9, unknown_rate=unknown_rate).words == UNKNOWN
        for _ in range(2)
    )
    assert abs(first.mean() - unknown_rate) < 0.05
    assert abs((first & second).mean() - unknown_rate**2) < 0.05


def test_static_vectors_are_those_of_the_words(
    with_vectors: WithVectors, make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    table = {"dog": [1.0, 2.0], "the": [3.0, 4.0], "cat": [5.0, 6.0]}
    docs = with_vectors(make_docs("the the the dog", "dog cat the"), table)
    ids = token_ids(docs, vocabulary, window_length=2, include_static_vectors=True)
    vectors = ids.vectors[ids.types[ids.kept]].tolist()
    assert vectors == [table[token.text] for token in chain(*docs)]


def test_without_static_vectors_none_are_looked_up(
    with_vectors: WithVectors, make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = with_vectors(make_docs("dog"), {"dog": [1.0]})
    assert token_ids(docs, vocabulary, window_length=2).vectors.shape == (0, 0)


def test_docs_of_several_vocabs_can_stand_in_a_batch(vocabulary: Vocabulary) -> None:
    docs = [Doc(Vocab(), words=words) for words in (["the", "dog"], [], ["a", "unicorn", "the"])]
    ids = token_ids(docs, vocabulary, window_length=9)
    words = [vocabulary.words.get(token.text, UNKNOWN) for token in chain(*docs)]
    assert ids.words[ids.types].tolist() == words


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_a_vector_that_is_not_finite_is_refused(
    with_vectors: WithVectors, make_docs: MakeDocs, vocabulary: Vocabulary, value: float
) -> None:
    docs = with_vectors(make_docs("a dog"), {"a": [0, 1], "dog": [value, 1]})
    with pytest.raises(ValueError, match="the word vector of 'dog' has values"):
        token_ids(docs, vocabulary, window_length=2, include_static_vectors=True)


@pytest.mark.parametrize("few", [0, 64])
def test_a_number_stands_for_a_form_and_its_vector(
    with_vectors: WithVectors,
    docs: list[Doc],
    vocabulary: Vocabulary,
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "FEW", few)
    with_vectors(docs, {"dog": [1.0, 2.0], "the": [3.0, 4.0]})
    forms = forms_of(docs)
    numbers, describe = features.number_types(docs, forms)
    assert len(set(zip(forms, numbers, strict=True))) == len(set(forms)) == len(set(numbers))
    some = list(dict.fromkeys(numbers.tolist()))[::-1]
    of_some = [forms[numbers == number][0] for number in some]
    expected = type_ids(docs, of_some, vocabulary, include_static_vectors=True)
    for own, other in zip(describe(some, vocabulary), expected, strict=True):
        assert own.tolist() == other.tolist()
    docs[0].vocab.set_vector("dog", numpy.asarray([1.0, 3.0]))
    changed = features.number_types(docs, forms)[0] != numbers
    assert changed.tolist() == [token.text == "dog" for token in chain(*docs)]
