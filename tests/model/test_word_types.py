"""Tests of `word_types.py`: the word types of a batch, their keys and ids."""

from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import numpy
import pytest
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_lstm_tagger.model import word_types
from spacy_lstm_tagger.model.types import Floats2d, Ints1d, Ints2d, TypeIds
from spacy_lstm_tagger.model.vocabulary import (
    MAX_SPELLING,
    UNKNOWN,
    Vocabulary,
    affixes,
    learn_vocabulary,
    spelling,
)
from spacy_lstm_tagger.model.word_types import WordTypes, ids_of, with_unknown

MakeDocs = Callable[..., list[Doc]]
WithVectors = Callable[..., list[Doc]]


class TokenIds(NamedTuple):
    """The ids of the types of a batch, and the type of each token."""

    words: Ints1d
    affixes: Ints2d
    spellings: Ints1d
    spelling_lengths: Ints1d
    vectors: Floats2d
    types: Ints1d


def token_ids(docs: list[Doc], vocabulary: Vocabulary, vector_width: int = 0) -> TokenIds:
    words = WordTypes(docs, vector_width)
    distinct, of_tokens = numpy.unique(words.keys, return_inverse=True)
    return TokenIds(*words.ids(distinct.tolist(), vocabulary), of_tokens)


def test_each_token_has_the_id_of_its_lower_case(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "unheard of A")
    ids = token_ids(docs, vocabulary)
    expected = [vocabulary.words.get(token.text.lower(), 0) for token in chain(*docs)]
    assert ids.words[ids.types].tolist() == expected
    assert UNKNOWN in expected


def test_each_token_has_the_ids_of_its_affixes(make_docs: MakeDocs, vocabulary: Vocabulary) -> None:
    docs = make_docs("THE Dog flew", "dog the", "unheard of A")
    ids = token_ids(docs, vocabulary)
    known = vocabulary.affixes
    expected = [[known.get(affix, 0) for affix in affixes(t.text)] for t in chain(*docs)]
    assert ids.affixes[ids.types].tolist() == expected


def test_each_token_has_the_ids_of_its_characters(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "ünheard of A " + "x" * 50)
    ids = token_ids(docs, vocabulary)
    spellings = numpy.split(ids.spellings, ids.spelling_lengths.cumsum()[:-1])
    known = vocabulary.characters
    for token, i in zip(chain(*docs), ids.types.tolist(), strict=True):
        assert spellings[i].tolist() == [known.get(c, 0) for c in spelling(token.text)]


def test_there_is_one_type_for_each_distinct_form(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("the The the dog", "dog The new old new")
    ids = token_ids(docs, vocabulary)
    types = ids.types.tolist()
    forms = [token.text for token in chain(*docs)]
    assert len(ids.words) == len(ids.affixes) == len(ids.spelling_lengths) == len(set(forms))
    assert len(set(zip(forms, types, strict=True))) == len(set(forms)) == len(set(types))


@pytest.mark.parametrize("vector_width", [0, 4])
def test_some_types_are_described_as_all_are(
    docs: list[Doc], vocabulary: Vocabulary, vector_width: int
) -> None:
    words = WordTypes(docs, vector_width)
    keys = numpy.unique(words.keys)
    whole = words.ids(keys.tolist(), vocabulary)
    ends = whole.spelling_lengths.cumsum()
    for chosen in ([0], [2, 1], [*range(len(keys))][::-1], []):
        some = words.ids(keys[chosen].tolist(), vocabulary)
        for name in ("words", "affixes", "spelling_lengths", *["vectors"] * bool(vector_width)):
            assert getattr(some, name).tolist() == getattr(whole, name)[chosen].tolist()
        spelt = [whole.spellings[ends[i] - whole.spelling_lengths[i] : ends[i]] for i in chosen]
        assert some.spellings.tolist() == [c for characters in spelt for c in characters]


@pytest.mark.parametrize("vector_width", [0, 4])
@pytest.mark.parametrize("empty_at", [(0,), (1,), (3,), (0, 3), (0, 0, 1, 2, 2, 3)])
def test_empty_docs_change_nothing(
    docs: list[Doc], vocabulary: Vocabulary, empty_at: tuple[int, ...], vector_width: int
) -> None:
    mixed = list(docs)
    for place in sorted(empty_at, reverse=True):
        mixed.insert(place, Doc(docs[0].vocab))
    with_empty = token_ids(mixed, vocabulary, vector_width)
    for found, expected in zip(with_empty, token_ids(docs, vocabulary, vector_width), strict=True):
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("n_docs", [1, 2, 5])
@pytest.mark.parametrize("n_vocabs", [1, 2])
@pytest.mark.parametrize("vector_width", [0, 2])
@pytest.mark.parametrize("mode", ["default", "floret"])
def test_empty_docs_alone_have_no_ids(
    vocabulary: Vocabulary, n_docs: int, n_vocabs: int, vector_width: int, mode: str
) -> None:
    vocabs = [Vocab() for _ in range(n_vocabs)]
    for vocab in vocabs:
        table = numpy.ones((3, 2), dtype="float32")
        vocab.vectors = Vectors(strings=vocab.strings, data=table, mode=mode, minn=2, maxn=3)
    ids = token_ids([Doc(vocabs[i % n_vocabs]) for i in range(n_docs)], vocabulary, vector_width)
    assert all(len(array) == 0 for array in ids)
    assert ids.affixes.shape == (0, 3)
    assert ids.vectors.shape == (0, vector_width)


def test_odd_words_have_ids(odd_words: list[str]) -> None:
    docs = [Doc(Vocab(), words=odd_words)]
    known = token_ids(docs, learn_vocabulary(docs))
    assert all((array > 0).all() for array in (known.words, known.affixes, known.spellings))
    unknown = token_ids(docs, Vocabulary())
    assert not any(array.any() for array in (unknown.words, unknown.affixes, unknown.spellings))
    assert 1 <= unknown.spelling_lengths.min() <= unknown.spelling_lengths.max() <= MAX_SPELLING


@pytest.mark.parametrize("texts", [[""], ["a wug", ""]])
def test_ids_and_keys_have_the_promised_types(
    make_docs: MakeDocs, vocabulary: Vocabulary, texts: list[str]
) -> None:
    words = WordTypes(make_docs(*texts), 4)
    ids = words.ids(words.keys.tolist(), vocabulary)
    assert ids.vectors.dtype == "float32"
    assert {array.dtype for array in ids._replace(vectors=ids.words)} == {numpy.dtype("int64")}
    assert words.keys.dtype == words.forms.dtype == words.contexts().dtype == "uint64"


def seen_words(docs: list[Doc], vocabulary: Vocabulary, rate: float) -> list[int]:
    """Return the ids of all tokens' words, some of them replaced by UNKNOWN."""
    *ids, of_tokens = token_ids(docs, vocabulary)
    return with_unknown(TypeIds(*ids), vocabulary, rate).words[of_tokens].tolist()


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_unknown_rate_one_hides_all_rare_words_and_no_others(
    docs: list[Doc], min_frequency: int, frequencies: dict[str, int]
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    for token, word in zip(chain(*docs), seen_words(docs, vocabulary, 1.0), strict=True):
        is_frequent = frequencies[token.text.lower()] > min_frequency
        assert word == (vocabulary.words[token.text.lower()] if is_frequent else UNKNOWN)


def test_unknown_rate_zero_hides_no_words(docs: list[Doc], vocabulary: Vocabulary) -> None:
    assert UNKNOWN not in seen_words(docs, vocabulary, 0.0)


def test_unknown_rate_changes_words_only(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = ids_of(["bird", "the", "wug"], vocabulary)
    changed = with_unknown(ids, vocabulary, 1.0)
    assert changed.words.tolist() == [UNKNOWN, vocabulary.words["the"], UNKNOWN]
    for found, expected in zip(changed[1:], ids[1:], strict=True):
        assert found is expected


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_unknown_rate_is_a_probability_drawn_at_each_call(rate: float) -> None:
    forms = [f"w{i}" for i in range(2000)]
    vocabulary = Vocabulary(forms)
    ids = ids_of(forms, vocabulary)
    numpy.random.seed(0)
    first, second = (with_unknown(ids, vocabulary, rate).words == UNKNOWN for _ in range(2))
    assert abs(first.mean() - rate) < 0.05
    assert abs((first & second).mean() - rate**2) < 0.05


def test_each_token_has_the_static_vector_of_its_word(
    with_vectors: WithVectors, make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    table = {"dog": [1.0, 2.0], "the": [3.0, 4.0], "cat": [5.0, 6.0]}
    docs = with_vectors(make_docs("the the the dog", "dog cat the"), table)
    ids = token_ids(docs, vocabulary, 2)
    vectors = ids.vectors[ids.types].tolist()
    assert vectors == [table[token.text] for token in chain(*docs)]


def test_static_vectors_are_looked_up_only_if_wanted(
    with_vectors: WithVectors, make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = with_vectors(make_docs("dog"), {"dog": [1.0]})
    assert token_ids(docs, vocabulary).vectors.shape == (0, 0)


@pytest.mark.parametrize("vector_width", [0, 2])
def test_a_batch_can_have_docs_of_several_vocabs(vocabulary: Vocabulary, vector_width: int) -> None:
    texts = [["the", "dog"], [], ["a", "unicorn", "the"], ["dog", "the", "a"]]
    docs, expected = [], []
    for i, words in enumerate(texts):
        vocab = Vocab()
        vocab.set_vector("the", numpy.full(2, i // 2, dtype="float32"))  # shared by pairs of Docs
        docs.append(Doc(vocab, words=words))
        expected += [[i // 2] * 2 if word == "the" else [0, 0] for word in words]
    ids = token_ids(docs, vocabulary, vector_width)
    words = [vocabulary.words.get(token.text, UNKNOWN) for token in chain(*docs)]
    assert ids.words[ids.types].tolist() == words
    if vector_width:
        assert ids.vectors[ids.types].tolist() == expected
    forms = {token.text for token in chain(*docs)}
    assert len(ids.words) == len(forms) + bool(vector_width)  # "the" has two vectors


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_a_vector_that_is_not_finite_is_refused(
    with_vectors: WithVectors, make_docs: MakeDocs, vocabulary: Vocabulary, value: float
) -> None:
    docs = with_vectors(make_docs("a dog"), {"a": [0, 1], "dog": [value, 1]})
    with pytest.raises(ValueError, match="the word vector of 'dog' contains NaN"):
        token_ids(docs, vocabulary, 2)


@pytest.mark.parametrize("few", [0, 64])
def test_a_key_identifies_a_form_and_its_vector(
    with_vectors: WithVectors, docs: list[Doc], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_types, "FEW", few)
    with_vectors(docs, {"dog": [1.0, 2.0], "the": [3.0, 4.0]})
    words = WordTypes(docs, 2)
    pairs = set(zip(words.forms.tolist(), words.keys.tolist(), strict=True))
    assert len(pairs) == len(set(words.forms.tolist())) == len(set(words.keys.tolist()))
    assert WordTypes(docs[::-1], 2).keys[-len(docs[0]) :].tolist() == words.keys[:5].tolist()
    docs[0].vocab.set_vector("dog", numpy.asarray([1.0, 3.0]))
    changed = WordTypes(docs, 2).keys != words.keys
    assert changed.tolist() == [token.text == "dog" for token in chain(*docs)]


def test_keys_are_the_same_in_every_vocab(docs: list[Doc]) -> None:
    other = [Doc(Vocab(), words=[token.text for token in doc]) for doc in docs]
    assert WordTypes(docs).keys.tolist() == WordTypes(other).keys.tolist()


def test_keys_of_floret_vectors_change_with_the_table(docs: list[Doc]) -> None:
    vocab, keys = docs[0].vocab, []
    for scale in (1, 1, 2):
        table = numpy.full((3, 4), scale, dtype="float32")
        vocab.vectors = Vectors(strings=vocab.strings, data=table, mode="floret", minn=2, maxn=3)
        keys.append(WordTypes(docs, 4).keys.tolist())
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])


def test_vectors_of_another_width_are_refused(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"word vectors of width 3, but .* vectors of width 4"):
        WordTypes(docs, 3)
    with pytest.raises(ValueError, match=r"word vectors of width 3, but .* has no vectors"):
        WordTypes([Doc(Vocab(), words=["dog"])], 3)


def test_contexts_are_equal_if_both_neighbours_are(make_docs: MakeDocs) -> None:
    docs = make_docs("a b c", "a x c b", "", "b a c", "c b a")
    contexts = WordTypes(docs).contexts().tolist()
    assert contexts[1] == contexts[4]  # a _ c
    others = [contexts[i] for i in (0, 2, 3, 5, 6, 7, 8, 9, 11)]
    assert len(set(others)) == len(others)
    assert WordTypes(docs[2:3]).contexts().tolist() == []


def test_whitespace_is_no_word(nlp: Language) -> None:
    texts = [["a", " ", "\n\t", "dog"], ["\u3000", "_"]]
    docs = [Doc(nlp.vocab, words=words) for words in texts]
    assert WordTypes(docs).is_word.tolist() == [True, False, False, True, False, True]


def test_strings_are_found_in_whichever_vocab_has_them(make_docs: MakeDocs) -> None:
    docs = [*make_docs("a dog"), Doc(Vocab(), words=["wugs", "dog"])]
    words = WordTypes(docs)
    assert words.strings(words.forms.tolist()) == ["a", "dog", "wugs", "dog"]
